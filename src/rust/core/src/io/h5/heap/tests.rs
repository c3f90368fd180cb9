use super::super::raw::Format;
use super::*;

const USUAL: Format = Format { base: 0, address: 8, length: 8 };
/// Where the collection of [`sound`] is.
const AT: usize = 24;

/// A heap whose file is gone when it is.
fn heap(data: &[u8], format: Format) -> Heap {
    static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("samap-heap-{}-{number}", std::process::id()));
    std::fs::write(&path, data).unwrap();
    let heap = Heap::new(Raw::open(&path, format).unwrap());
    // An open file stays readable; Windows keeps it.
    let _ = std::fs::remove_file(&path);
    heap
}

fn collection(format: Format, objects: &[(u16, &[u8])]) -> Vec<u8> {
    let mut data = b"GCOL\x01\0\0\0".to_vec();
    data.resize((8 + format.length).next_multiple_of(8), 0);
    for (index, bytes) in objects {
        data.extend_from_slice(&index.to_le_bytes());
        data.extend_from_slice(&[0; 6]);
        data.extend_from_slice(&bytes.len().to_le_bytes()[..format.length]);
        data.resize(data.len().next_multiple_of(8), 0);
        data.extend_from_slice(bytes);
        data.resize(data.len().next_multiple_of(8), 0);
    }
    // Free space, its header counted.
    data.extend_from_slice(&[0; 8]);
    data.extend_from_slice(&48_u64.to_le_bytes()[..format.length]);
    data.resize(data.len().next_multiple_of(8) + 32, 0);
    let size = data.len().to_le_bytes();
    data[8..8 + format.length].copy_from_slice(&size[..format.length]);
    data
}

fn reference(format: Format, length: u32, address: u64, index: u32) -> Vec<u8> {
    [&length.to_le_bytes()[..], &address.to_le_bytes()[..format.address], &index.to_le_bytes()].concat()
}

/// A file with a collection of three strings.
fn sound() -> Vec<u8> {
    let objects: [(u16, &[u8]); 3] = [(1, b"abc"), (2, "d\u{e9}1 of 9".as_bytes()), (3, b"nul\0terminated")];
    [vec![7; AT], collection(USUAL, &objects)].concat()
}

fn read(data: &[u8], length: u32, address: usize, index: u32) -> Found<String> {
    let bytes = heap(data, USUAL).string(&reference(USUAL, length, address as u64, index))?;
    Ok(String::from_utf8(bytes).unwrap())
}

#[test]
fn strings_come_by_their_references() {
    let data = sound();
    assert_eq!(read(&data, 3, AT, 1).unwrap(), "abc");
    assert_eq!(read(&data, 9, AT, 2).unwrap(), "d\u{e9}1 of 9");
    // As HDF5 gives them: up to the first NUL, and as long as the reference says.
    assert_eq!(read(&data, 14, AT, 3).unwrap(), "nul");
    assert_eq!(read(&data, 2, AT, 1).unwrap(), "ab");
}

#[test]
fn empty_strings_need_no_heap() {
    let data = sound();
    assert_eq!(read(&data, 0, AT, 1).unwrap(), "");
    assert_eq!(read(&data, 0, 0, 0).unwrap(), "");
    assert_eq!(read(&data, 5, 0, 9).unwrap(), "");
    assert_eq!(read(&data, 0, usize::MAX, 7).unwrap(), "");
}

#[test]
fn addresses_count_from_the_user_block_and_have_any_width() {
    for (base, address, length) in [(512, 8, 8), (0, 4, 4), (512, 2, 2), (0, 4, 8), (0, 8, 4)] {
        let format = Format { base, address, length };
        let data = [vec![0; base as usize + AT], collection(format, &[(1, b"abc"), (7, b"defghijkl")])].concat();
        let heap = heap(&data, format);
        assert_eq!(heap.string(&reference(format, 9, AT as u64, 7)).unwrap(), b"defghijkl", "{format:?}");
        assert_eq!(heap.string(&reference(format, 3, AT as u64, 1)).unwrap(), b"abc", "{format:?}");
    }
}

#[test]
fn references_that_lie_are_refused() {
    let data = sound();
    let refused = |length, address, index| read(&data, length, address, index).unwrap_err();
    assert_eq!(refused(3, AT, 4), "holds a string that points outside of its heap (object 4)");
    assert_eq!(refused(3, AT, 0), "holds a string that points outside of its heap (object 0)");
    assert_eq!(refused(3, AT, 1 << 16 | 1), "holds a string that points outside of its heap (object 65537)");
    assert_eq!(refused(4, AT, 1), "holds a string of 4 bytes of which its heap has 3 (object 1)");
    assert!(refused(u32::MAX, AT, 1).contains("of which its heap has 3"));
    for address in [data.len(), data.len() - 3, 1 << 40, usize::MAX, usize::MAX - 7] {
        assert_eq!(refused(3, address, 1), "holds a string whose heap lies outside of the file", "{address}");
    }
    assert_eq!(refused(3, AT + 8, 1), "holds a string that points to what is no heap (byte 32 of the file)");
    assert!(heap(&data, USUAL).string(&[0; 15]).is_err());
    assert!(heap(&data, USUAL).string(&[]).is_err());
}

#[test]
fn what_hdf5_reads_itself_must_be_exact() {
    let check = |length, index| heap(&sound(), USUAL).check(&reference(USUAL, length, AT as u64, index));
    check(3, 1).unwrap();
    for (length, index) in [(2, 1), (4, 1), (0, 1), (3, 7)] {
        assert!(check(length, index).is_err());
    }
    heap(&sound(), USUAL).check(&reference(USUAL, 3, 0, 1)).unwrap();
}

#[test]
fn heaps_that_lie_are_refused() {
    let spoiled = |at: usize, bytes: &[u8]| {
        let mut data = sound();
        data[AT + at..AT + at + bytes.len()].copy_from_slice(bytes);
        read(&data, 3, AT, 1).unwrap_err()
    };
    assert!(spoiled(0, b"GCOM").contains("points to what is no heap"));
    assert!(spoiled(4, &[2]).contains("points to what is no heap"));
    assert!(spoiled(8, &[0xff; 8]).contains("whose heap claims 18446744073709551615 bytes"));
    assert!(spoiled(8, &[15, 0]).contains("whose heap claims 15 bytes"));
    assert!(spoiled(8, &[1, 1]).contains("whose heap claims 257 bytes"));
    // The collection ends within its first object.
    assert!(spoiled(8, &[34]).contains("whose object 1 claims 3 bytes of 2"));
    assert!(spoiled(8, &[20]).contains("points outside of its heap"));
    assert!(spoiled(24, &[0xff; 8]).contains("whose object 1 claims 18446744073709551615 bytes"));
    assert!(spoiled(24, &[0xf0; 8]).contains("whose object 1 claims"));
    // Free space that is smaller than its own header.
    assert!(spoiled(16, &[0]).contains("whose object 0 claims 3 bytes"));
}

#[test]
fn a_heap_too_large_is_refused_before_it_is_read() {
    let mut data = sound();
    let size = (LARGEST + 8).to_le_bytes();
    data[AT + 8..AT + 16].copy_from_slice(&size);
    let mut heap = heap(&data, USUAL);
    heap.raw.bytes = 2 * LARGEST;
    assert!(heap.string(&reference(USUAL, 3, AT as u64, 1)).unwrap_err().contains("at most 67108864 are read"));
}

#[test]
fn of_two_objects_with_one_index_the_last_counts() {
    let data = [vec![0; AT], collection(USUAL, &[(1, b"first"), (1, b"last")])].concat();
    assert_eq!(read(&data, 4, AT, 1).unwrap(), "last");
    assert!(read(&data, 5, AT, 1).is_err());
}

#[test]
fn collections_are_forgotten_and_read_again() {
    let long = vec![b'x'; KEPT / 3];
    let one = collection(USUAL, &[(1, &long)]);
    let data = [vec![0; AT], one.repeat(5)].concat();
    let heap = heap(&data, USUAL);
    for at in [0, 1, 2, 3, 4, 0, 3, 3, 1] {
        let found = heap.string(&reference(USUAL, long.len() as u32, (AT + at * one.len()) as u64, 1)).unwrap();
        assert!(found == long);
        assert!(heap.kept.borrow().bytes <= KEPT);
    }
}
