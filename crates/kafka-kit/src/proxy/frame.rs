//! Frame: a request or an answer as it is sent: four bytes that tell its length, then that.

use std::io::{self, ErrorKind, Read, Write};

/// Longest frame, in bytes. Kafka's own limit is 100 MiB (`socket.request.max.bytes`).
const FRAME_BYTES_MAX: usize = 128 << 20;

/// What all requests begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestHead {
    pub(crate) api: i16,
    pub(crate) version: i16,
    pub(crate) correlation: i32,
}

/// The next frame, without its length; `None` at the end.
pub(crate) fn read_frame(input: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match input.read_exact(&mut length) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > FRAME_BYTES_MAX {
        return Err(invalid("its length is beyond 128 MiB; is it Kafka in plain text?"));
    }
    let mut frame = vec![0; length];
    input.read_exact(&mut frame)?;
    Ok(Some(frame))
}

/// Sends a frame, with its length before it.
pub(crate) fn write_frame(output: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(|_| invalid("its length"))?;
    // At once: a segment of four bytes would wait for its acknowledgement.
    output.write_all(&[&length.to_be_bytes(), frame].concat())
}

pub(crate) fn request_head(frame: &[u8]) -> io::Result<RequestHead> {
    let Some((&[a, b, c, d, e, f, g, h], _)) = frame.split_first_chunk() else {
        return Err(invalid("a request of less than eight bytes"));
    };
    Ok(RequestHead {
        api: i16::from_be_bytes([a, b]),
        version: i16::from_be_bytes([c, d]),
        correlation: i32::from_be_bytes([e, f, g, h]),
    })
}

/// The number of the request that this answers.
pub(crate) fn correlation(response: &[u8]) -> io::Result<i32> {
    let first =
        response.first_chunk().ok_or_else(|| invalid("an answer of less than four bytes"))?;
    Ok(i32::from_be_bytes(*first))
}

pub(crate) fn invalid(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}
