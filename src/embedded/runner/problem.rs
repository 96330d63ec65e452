//! Why a container does not run.
//!
//! Responsible for: telling what may pass from what never will, in words for who wrote the template. Must never:
//! name the value of a Secret.

/// Exit code that the kubelet reports of a container that could not be started.
pub const NOT_STARTED: i32 = 128;

/// Why a container does not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Something that it needs is not there yet. The container waits, as with a kubelet.
    #[error("{0}")]
    Missing(String),
    /// This machine cannot do what the template asks for. The container ends with [`NOT_STARTED`].
    #[error("{message}")]
    Refused {
        /// One CamelCase word.
        reason: &'static str,
        /// What is asked for, and what can be done.
        message: String,
    },
}

impl Problem {
    /// The template has no command: what the image would do is not known.
    #[must_use]
    pub fn image_not_run(container: &str, image: &str) -> Self {
        let message = format!(
            "container {container} has no command, and its image {image} is not run here: activities run as local \
             processes; give the container a command"
        );
        Self::Refused { reason: "ImageNotRun", message }
    }

    /// A path of the container has no place on this machine.
    pub fn path(message: impl Into<String>) -> Self {
        Self::Refused { reason: "PathNotMapped", message: message.into() }
    }

    /// Something that only a node can do.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::Refused { reason: "NotSupported", message: message.into() }
    }
}
