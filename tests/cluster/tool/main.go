// Command tool does the small jobs of the scripts beside it that a shell cannot do well without further programs:
// free ports, a signing key, container images. It knows nothing of where a control plane keeps its files.
package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"strconv"
)

const usage = `usage:
  tool ports COUNT                                   prints COUNT free loopback ports, one a line
  tool key FILE                                      writes a new private key that signs ServiceAccount tokens
  tool image NAME OUT ENTRYPOINT_JSON FILE:DEST...   writes a container image as a docker-archive
`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "tool:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 2 && arguments[0] == "ports":
		return printPorts(arguments[1])
	case len(arguments) == 2 && arguments[0] == "key":
		return writeKey(arguments[1])
	case len(arguments) >= 5 && arguments[0] == "image":
		return writeImage(arguments[1], arguments[2], arguments[3], arguments[4:])
	}
	fmt.Fprint(os.Stderr, usage)
	os.Exit(2)
	return nil
}

// Ports are taken from below the range that Linux gives to outgoing connections (32768 and up): nothing takes
// one by accident between this answer and the moment when a component listens on it.
const firstPort, portCount = 20000, 12000

func printPorts(countText string) error {
	count, err := strconv.Atoi(countText)
	if err != nil || count < 1 || count > 100 {
		return fmt.Errorf("COUNT is %q, expected a number from 1 to 100", countText)
	}
	// All stay open until the end, so that no port is answered twice.
	for attempts := 0; count > 0; attempts++ {
		if attempts > 10_000 {
			return fmt.Errorf("no free port between %d and %d", firstPort, firstPort+portCount)
		}
		offset, err := rand.Int(rand.Reader, big.NewInt(portCount))
		if err != nil {
			return err
		}
		port := firstPort + int(offset.Int64())
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer listener.Close()
		fmt.Println(port)
		count--
	}
	return nil
}

func writeKey(file string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return os.WriteFile(file, pem.EncodeToMemory(&block), 0o600)
}
