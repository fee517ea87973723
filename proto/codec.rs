//! How messages are encoded and decoded: as tonic does it with prost, but with small buffers.
//!
//! Each stream holds one for each direction for as long as it lives, and a worker that is idle sends a few bytes at a time. What
//! is larger makes them grow.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec as GrpcCodec};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// What a stream holds for each direction at first, and by which its buffers grow.
const BUFFER_BYTES: usize = 1 << 6;

/// How much is encoded before it is handed to the transport: tonic's own default.
const HAND_OVER_BYTES: usize = 32 << 10;

/// The codec of every call.
#[derive(Debug)]
pub(crate) struct Codec<Out, In>(PhantomData<(Out, In)>);

fn buffers() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, HAND_OVER_BYTES)
}

impl<Out, In> Default for Codec<Out, In> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Out, In> GrpcCodec for Codec<Out, In>
where
    Out: Message + Send + 'static,
    In: Message + Default + Send + 'static,
{
    type Encode = Out;
    type Decode = In;
    type Encoder = ProstEncoder<Out>;
    type Decoder = ProstDecoder<In>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(buffers())
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(buffers())
    }
}
