//! How much of what an attempt says the coordinator takes.

/// The largest things an attempt may say, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// A result.
    pub(crate) result_bytes: usize,
    /// A checkpoint. 0: none is kept.
    pub(crate) checkpoint_bytes: usize,
}

/// A checkpoint that is not kept: it is larger than the coordinator allows. The one before stays.
///
/// With `?` it becomes a retryable [`TaskError`](crate::TaskError).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a checkpoint of {bytes} bytes is not kept: the coordinator's limits.checkpoint_bytes allows {max}; save where the \
     data is, not the data"
)]
pub struct CheckpointTooLarge {
    bytes: usize,
    max: usize,
}

impl CheckpointTooLarge {
    /// How large it is, in bytes.
    pub fn bytes(self) -> usize {
        self.bytes
    }

    /// How large it may be. 0: the coordinator keeps none.
    pub fn max(self) -> usize {
        self.max
    }
}

impl Limits {
    /// Whether a checkpoint of this size is kept. Where none is, an empty one is not either.
    pub(crate) fn admit_checkpoint(self, bytes: usize) -> Result<(), CheckpointTooLarge> {
        let max = self.checkpoint_bytes;
        if 0 < max && bytes <= max { Ok(()) } else { Err(CheckpointTooLarge { bytes, max }) }
    }
}

#[cfg(test)]
mod tests {
    //! What is admitted.

    use super::*;

    #[test]
    fn a_checkpoint_fits_or_is_refused_with_both_sizes() {
        let cases = [(0, 0, false), (0, 1, false), (1, 0, true), (8, 8, true), (8, 9, false)];
        for (max, bytes, is_admitted) in cases {
            let limits = Limits { result_bytes: 1, checkpoint_bytes: max };
            let expected =
                if is_admitted { Ok(()) } else { Err(CheckpointTooLarge { bytes, max }) };
            assert_eq!(limits.admit_checkpoint(bytes), expected, "{bytes} of {max}");
        }
    }
}
