//! Every codec gives back what it was given, and refuses what it never made.

use flow::Codec;
use proptest::prelude::*;

use super::*;

const CODECS: [Codec; 3] = [Codec::None, Codec::Zstd, Codec::Lz4];

fn log_like(bytes: usize) -> Vec<u8> {
    (0_u32..)
        .flat_map(|n| format!("GET /item/{} 200 rt=0.{:03}\n", n % 977, n % 1000).into_bytes())
        .take(bytes)
        .collect()
}

#[test]
fn blocks_of_all_sizes_read_back_through_reused_compressors() {
    for codec in CODECS {
        for level in [-5, 0, 1, 3, 19] {
            let mut compressor = make(codec, level);
            assert_eq!(compressor.codec(), codec);
            let (mut block, mut raw) = (b"stale".to_vec(), b"stale".to_vec());
            for bytes in [1 << 20, 0, 1, 100, 256 << 10, 5000] {
                let original = log_like(bytes);
                compressor.compress(&original, &mut block).unwrap();
                decompress(codec, &block, bytes, &mut raw).unwrap();
                assert_eq!(raw, original, "{codec:?} level {level}: {bytes} bytes");
            }
        }
    }
}

#[test]
fn sections_compressed_by_themselves_open_alone() {
    let mut compressor = make_by_section(1);
    assert!(compressor.is_by_section() && !make(Codec::Zstd, 1).is_by_section());
    let sections = [100, 5000, 256 << 10].map(log_like);
    let (mut block, mut frame) = (Vec::new(), Vec::new());
    let mut ranges = Vec::new();
    for section in &sections {
        compressor.compress(section, &mut frame).unwrap();
        ranges.push(block.len()..block.len() + frame.len());
        block.extend_from_slice(&frame);
    }
    for (section, range) in sections.iter().zip(ranges).rev() {
        let mut raw = Vec::new();
        decompress(compressor.codec(), &block[range], section.len(), &mut raw).unwrap();
        assert_eq!(raw, *section);
    }
}

#[test]
fn a_warm_compressor_allocates_no_larger_block() {
    let original = log_like(256 << 10);
    for codec in CODECS {
        let mut compressor = make(codec, 1);
        let mut block = Vec::new();
        compressor.compress(&original, &mut block).unwrap();
        let (place, capacity) = (block.as_ptr(), block.capacity());
        compressor.compress(&original, &mut block).unwrap();
        assert_eq!((block.as_ptr(), block.capacity()), (place, capacity), "{codec:?}");
    }
}

#[test]
fn a_context_at_level_1_is_small() {
    let mut zstd = Zstd::new(1);
    zstd.compress(&log_like(1 << 20), &mut Vec::new()).unwrap();
    let bytes = zstd.context_bytes();
    assert!(bytes <= 3 << 20, "{bytes} bytes");
}

#[test]
fn what_is_eased_is_compressed_as_at_a_cheaper_level_and_then_as_before() {
    let original = log_like(1 << 20);
    let block_of = |zstd: &mut Box<dyn Compress>| {
        let (mut block, mut raw) = (Vec::new(), Vec::new());
        zstd.compress(&original, &mut block).unwrap();
        decompress(Codec::Zstd, &block, original.len(), &mut raw).unwrap();
        assert_eq!(raw, original);
        block
    };
    let mut zstd = make(Codec::Zstd, 9);
    for (levels, as_level) in [(0, 9), (1, 5), (2, 1), (0, 9)] {
        zstd.ease(levels);
        let wanted = block_of(&mut make(Codec::Zstd, as_level));
        assert!(block_of(&mut zstd) == wanted, "{levels}");
    }
    assert!(block_of(&mut make(Codec::Zstd, 9)) != block_of(&mut make(Codec::Zstd, 1)));
}

#[test]
fn a_length_other_than_the_headers_is_refused() {
    let original = log_like(1000);
    for codec in CODECS {
        let mut block = Vec::new();
        make(codec, 1).compress(&original, &mut block).unwrap();
        for wanted in [0, 999, 1001] {
            assert!(decompress(codec, &block, wanted, &mut Vec::new()).is_err(), "{codec:?}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_read_back(original: Vec<u8>) {
        for codec in CODECS {
            let (mut block, mut raw) = (Vec::new(), Vec::new());
            make(codec, 1).compress(&original, &mut block).unwrap();
            decompress(codec, &block, original.len(), &mut raw).unwrap();
            prop_assert_eq!(&raw, &original);
        }
    }

    #[test]
    fn any_bytes_are_decompressed_or_refused(block: Vec<u8>, raw_bytes in 0_usize..1000) {
        for codec in CODECS {
            let mut raw = Vec::new();
            if decompress(codec, &block, raw_bytes, &mut raw).is_ok() {
                prop_assert_eq!(raw.len(), raw_bytes);
            }
        }
    }
}
