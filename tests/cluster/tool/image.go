package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"runtime"
	"slices"
	"strings"
)

// imageFile is one file of the image: where it is read from and its absolute path in the container.
type imageFile struct{ source, destination string }

// writeImage writes a container image of one layer, without any container tool. The same input gives the same bytes.
// A busybox image gets its applets as links and a shell as its command, as the published one has.
func writeImage(name, out, entrypointJSON string, arguments []string) error {
	var entrypoint []string
	if err := json.Unmarshal([]byte(entrypointJSON), &entrypoint); err != nil {
		return fmt.Errorf("ENTRYPOINT_JSON: expected a list of strings: %w", err)
	}
	files, err := parseFiles(arguments)
	if err != nil {
		return err
	}
	var command, applets []string
	if isBusybox(name) {
		command = []string{"sh"}
		if applets, err = busyboxApplets(files); err != nil {
			return err
		}
	}
	layer, err := buildLayer(files, applets)
	if err != nil {
		return err
	}
	layerID := digest(layer)
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"Entrypoint": entrypoint, "Cmd": command, "Env": []string{"PATH=/usr/local/bin:/usr/bin:/bin"}},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + layerID}},
	})
	if err != nil {
		return err
	}
	configName, layerName := digest(config)+".json", layerID+"/layer.tar"
	manifest, err := json.Marshal([]map[string]any{{"Config": configName, "RepoTags": []string{name}, "Layers": []string{layerName}}})
	if err != nil {
		return err
	}
	return writeArchive(out, []archived{{configName, config}, {layerName, layer}, {"manifest.json", manifest}})
}

func isBusybox(name string) bool {
	repository, _, _ := strings.Cut(path.Base(name), ":")
	return repository == "busybox"
}

func parseFiles(arguments []string) ([]imageFile, error) {
	var files []imageFile
	for _, argument := range arguments {
		source, destination, found := strings.Cut(argument, ":")
		if !found || !path.IsAbs(destination) {
			return nil, fmt.Errorf("%q: expected FILE:DEST with an absolute DEST", argument)
		}
		files = append(files, imageFile{source, path.Clean(destination)})
	}
	for _, file := range files {
		if err := checkInterpreter(file, files); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// checkInterpreter refuses a dynamically linked program whose loader is not in the image: in the container
// it would fail with "no such file or directory", which names the program and not what is missing.
func checkInterpreter(file imageFile, files []imageFile) error {
	binary, err := elf.Open(file.source)
	if err != nil {
		return nil // No ELF file; one that cannot be read is reported when it is added.
	}
	defer binary.Close()
	for _, program := range binary.Progs {
		if program.Type != elf.PT_INTERP {
			continue
		}
		content, err := io.ReadAll(program.Open())
		if err != nil {
			return fmt.Errorf("%s: %w", file.source, err)
		}
		loader := strings.TrimRight(string(content), "\x00")
		if !slices.ContainsFunc(files, func(other imageFile) bool { return other.destination == loader }) {
			return fmt.Errorf("%s is not statically linked: it needs %s, which is not in the image", file.source, loader)
		}
	}
	return nil
}

func busyboxApplets(files []imageFile) ([]string, error) {
	for _, file := range files {
		if file.destination != "/bin/busybox" {
			continue
		}
		output, err := exec.Command(file.source, "--list").Output()
		if err != nil {
			return nil, fmt.Errorf("%s --list: %w", file.source, err)
		}
		return slices.DeleteFunc(strings.Fields(string(output)), func(applet string) bool { return applet == "busybox" }), nil
	}
	return nil, fmt.Errorf("a busybox image needs FILE:/bin/busybox")
}

func buildLayer(files []imageFile, applets []string) ([]byte, error) {
	var buffer bytes.Buffer
	layer := tar.NewWriter(&buffer)
	written := map[string]bool{"/": true}
	var addDirectory func(directory string, mode int64) error
	addDirectory = func(directory string, mode int64) error {
		if written[directory] {
			return nil
		}
		if err := addDirectory(path.Dir(directory), 0o755); err != nil {
			return err
		}
		written[directory] = true
		return layer.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: directory[1:] + "/", Mode: mode})
	}
	if err := addDirectory("/tmp", 0o1777); err != nil {
		return nil, err
	}
	for _, directory := range []string{"/bin", "/dev", "/etc", "/proc", "/sys"} {
		if err := addDirectory(directory, 0o755); err != nil {
			return nil, err
		}
	}
	for _, file := range files {
		if err := addDirectory(path.Dir(file.destination), 0o755); err != nil {
			return nil, err
		}
		if err := addFile(layer, file); err != nil {
			return nil, err
		}
	}
	for _, applet := range applets {
		if err := layer.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "/bin/busybox", Mode: 0o777}); err != nil {
			return nil, err
		}
	}
	if err := layer.Close(); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}

// addFile makes the file readable for every user: pods run under uids that own nothing in the image.
func addFile(layer *tar.Writer, file imageFile) error {
	information, err := os.Stat(file.source)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(file.source)
	if err != nil {
		return err
	}
	mode := int64(0o644)
	if information.Mode()&0o111 != 0 {
		mode = 0o755
	}
	if err := layer.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: file.destination[1:], Mode: mode, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err = layer.Write(content)
	return err
}

type archived struct {
	name    string
	content []byte
}

func writeArchive(out string, entries []archived) error {
	var buffer bytes.Buffer
	archive := tar.NewWriter(&buffer)
	for _, entry := range entries {
		if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: entry.name, Mode: 0o644, Size: int64(len(entry.content))}); err != nil {
			return err
		}
		if _, err := archive.Write(entry.content); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return os.WriteFile(out, buffer.Bytes(), 0o644)
}

func digest(content []byte) string { return fmt.Sprintf("%x", sha256.Sum256(content)) }
