//! Sets of points as blobs: roaring bitmaps in their portable serialisation, with runs.

use std::io;

use roaring::RoaringBitmap;

use super::Fault;
use crate::scheduler::Points;

pub(super) fn encode(points: &Points) -> Vec<u8> {
    let mut packed = points.clone();
    packed.optimize();
    blob(packed.serialized_size(), |blob| packed.serialize_into(blob))
}

pub(super) fn decode(blob: &[u8]) -> Result<Points, Fault> {
    Points::deserialize_from(blob).map_err(|error| Fault::Encoding(format!("a set of points: {error}")))
}

pub(super) fn encode_bitmap(bitmap: &RoaringBitmap) -> Vec<u8> {
    let mut packed = bitmap.clone();
    packed.optimize();
    blob(packed.serialized_size(), |blob| packed.serialize_into(blob))
}

pub(super) fn decode_bitmap(blob: &[u8]) -> Result<RoaringBitmap, Fault> {
    RoaringBitmap::deserialize_from(blob).map_err(|error| Fault::Encoding(format!("a chunk of points: {error}")))
}

fn blob(size: usize, serialize: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Vec<u8> {
    let mut blob = Vec::with_capacity(size);
    serialize(&mut blob).unwrap_or_else(|error| unreachable!("a vector takes all bytes: {error}"));
    blob
}
