//! The output of a container in a file that cannot grow without bounds.
//!
//! Responsible for: keeping the end of what was written, on a bounded part of the disk. Must never: hold back the
//! process for longer than a write takes, or keep the output in memory.

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

/// Most bytes that are read at once.
const CHUNK: usize = 64 * 1024;

/// Writes all that comes into a file until the end, and keeps at least the last half of `limit` bytes of it. What is
/// older is in a file beside it whose name ends with `.1`; both together hold no more than `limit`. Without output
/// there is no file.
pub async fn keep(mut output: impl AsyncRead + Unpin, path: &Path, limit: u64) -> io::Result<()> {
    let half = (limit / 2).max(1);
    let mut buffer = vec![0; usize::try_from(half).unwrap_or(CHUNK).min(CHUNK)];
    let mut file: Option<(File, u64)> = None;
    let mut problem = None;
    loop {
        let length = output.read(&mut buffer).await?;
        let chunk = buffer.get(..length).unwrap_or_default();
        if chunk.is_empty() {
            break;
        }
        // A full disk must not block the process: what it says is read on, and lost.
        if problem.is_none()
            && let Err(error) = write(&mut file, path, half, chunk).await
        {
            problem = Some(error);
        }
    }
    if let Some((mut file, _)) = file {
        file.flush().await?;
    }
    problem.map_or(Ok(()), Err)
}

async fn write(file: &mut Option<(File, u64)>, path: &Path, half: u64, chunk: &[u8]) -> io::Result<()> {
    let length = chunk.len() as u64;
    if let Some((mut full, _)) = file.take_if(|(_, written)| *written + length > half) {
        full.flush().await?;
        tokio::fs::rename(path, older(path)).await?;
    }
    let (file, written) = match file {
        Some(file) => file,
        None => {
            if let Some(directory) = path.parent() {
                tokio::fs::create_dir_all(directory).await?;
            }
            file.insert((File::create(path).await?, 0))
        }
    };
    file.write_all(chunk).await?;
    *written += length;
    Ok(())
}

fn older(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

/// The last bytes of what was kept, as text. Empty without a file.
pub async fn tail(path: &Path, bytes: u64) -> io::Result<String> {
    let mut tail = end_of(path, bytes).await?;
    if (tail.len() as u64) < bytes {
        let mut more = end_of(&older(path), bytes - tail.len() as u64).await?;
        more.append(&mut tail);
        tail = more;
    }
    Ok(String::from_utf8_lossy(&tail).into_owned())
}

/// The last lines of a text, whether or not the last one is complete.
#[must_use]
pub fn last_lines(text: &str, lines: usize) -> &str {
    let whole = text.strip_suffix('\n').unwrap_or(text);
    let before = whole.rmatch_indices('\n').nth(lines.saturating_sub(1));
    before.and_then(|(at, _)| text.get(at + 1..)).unwrap_or(text)
}

/// The last bytes of a regular file; nothing of anything else, which might never end or never begin.
pub async fn end_of(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    match tokio::fs::symlink_metadata(path).await {
        Ok(metadata) if metadata.is_file() && metadata.len() > 0 => {}
        Ok(_) => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    }
    let mut file = File::open(path).await?;
    let length = file.metadata().await?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes))).await?;
    let mut end = Vec::new();
    file.take(bytes).read_to_end(&mut end).await?;
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("orchestrator-log-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        directory
    }

    #[tokio::test]
    async fn only_the_end_of_a_long_output_is_kept() {
        let directory = directory("long");
        let path = directory.join("a/main.log");
        let output: Vec<u8> = (0..100_000).flat_map(|line| format!("line {line}\n").into_bytes()).collect();
        keep(output.as_slice(), &path, 10_000).await.unwrap();
        let sizes = [&path, &older(&path)].map(|path| std::fs::metadata(path).unwrap().len());
        assert!(sizes.iter().sum::<u64>() <= 10_000 && sizes.iter().all(|size| *size > 0), "{sizes:?}");
        let kept = tail(&path, 5_000).await.unwrap();
        assert_eq!(kept.len(), 5_000);
        assert!(kept.ends_with("line 99998\nline 99999\n"), "{kept}");
        assert_eq!(tail(&path, 11).await.unwrap(), "line 99999\n");
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn the_last_lines_are_counted_from_the_end() {
        for (text, lines, expected) in [
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 2, "b\nc"),
            ("a\nb\n", 2, "a\nb\n"),
            ("", 2, ""),
            ("\n\n", 1, "\n"),
        ] {
            assert_eq!(last_lines(text, lines), expected, "{text:?}");
        }
    }

    #[tokio::test]
    async fn without_output_there_is_no_file() {
        let directory = directory("none");
        let path = directory.join("main.log");
        keep(&[][..], &path, 10).await.unwrap();
        assert!(!path.exists());
        assert_eq!(tail(&path, 100).await.unwrap(), "");
        std::fs::remove_dir_all(directory).unwrap();
    }
}
