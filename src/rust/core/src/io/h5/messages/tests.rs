use super::super::raw::Format;
use super::*;

fn fields(data: &[u8]) -> Fields<'_> {
    Fields::new(data, Format { base: 0, address: 8, length: 8 })
}

/// Bytes of a type: class and version, bits, size, properties.
fn bytes_of(class: u8, bits: u32, size: u32, rest: &[u8]) -> Vec<u8> {
    [&[class][..], &bits.to_le_bytes()[..3], &size.to_le_bytes(), rest].concat()
}

fn integer() -> Vec<u8> {
    bytes_of(0x10, 8, 4, &[0, 0, 32, 0])
}

fn double() -> Vec<u8> {
    bytes_of(0x11, 0x3f20, 8, &[0, 0, 64, 0, 52, 11, 0, 52, 0xff, 3, 0, 0])
}

/// A record of two members.
fn record(size: u32, second: u32) -> Vec<u8> {
    let member = |name: &[u8; 8], offset: u32| [&name[..], &offset.to_le_bytes()].concat();
    let none = [0; 28];
    let first = [member(b"a\0\0\0\0\0\0\0", 0), none.to_vec(), integer()].concat();
    let second = [member(b"second\0\0", second), none.to_vec(), double()].concat();
    bytes_of(0x16, 2, size, &[first, second].concat())
}

#[test]
fn every_message_ends_where_it_must() {
    let text = bytes_of(0x19, 0x101, 16, &bytes_of(0x13, 0, 1, &[]));
    let choices = bytes_of(0x18, 2, 4, &[integer(), b"NO\0\0\0\0\0\0YES\0\0\0\0\0".to_vec(), vec![0; 8]].concat());
    let grid = bytes_of(0x2a, 0, 24, &[vec![2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0], vec![0; 8], integer()].concat());
    let opaque = bytes_of(0x15, 8, 3, b"datetime");
    let kinds = [(integer(), 4), (double(), 8), (text, 16), (choices, 4), (grid, 24), (opaque, 3), (record(12, 4), 12)];
    for (data, size) in kinds {
        assert_eq!(kind(fields(&data)).map(|kind| kind.bytes), Some(size), "{data:?}");
        for end in 0..data.len() {
            assert_eq!(kind(fields(&data[..end])), None, "{data:?} up to {end}");
        }
    }
}

#[test]
fn strings_are_found_wherever_they_are() {
    let text = bytes_of(0x39, 0x101, 16, &bytes_of(0x13, 0, 1, &[]));
    let has = |data: &[u8]| kind(fields(data)).map(|kind| (kind.reference, kind.references)).unwrap();
    assert_eq!(has(&text), (true, true));
    assert_eq!(has(&integer()), (false, false));
    let member = [&b"name\0\x04"[..], &text].concat();
    assert_eq!(has(&bytes_of(0x36, 1, 20, &member)), (false, true));
    assert_eq!(kind(fields(&bytes_of(0x36, 1, 19, &member))), None);
}

#[test]
fn types_that_contradict_themselves_are_refused() {
    assert_eq!(kind(fields(&bytes_of(0x10, 8, 4, &[1, 0, 32, 0]))), None);
    assert_eq!(kind(fields(&bytes_of(0x10, 8, 4, &[0, 0, 0, 0]))), None);
    assert_eq!(kind(fields(&bytes_of(0x11, 0x4020, 8, &double()[8..]))), None);
    assert_eq!(kind(fields(&record(12, 5))), None);
    assert_eq!(kind(fields(&record(11, 4))), None);
    assert_eq!(kind(fields(&bytes_of(0x16, 0, 4, &[]))), None);
    assert_eq!(kind(fields(&bytes_of(0x1c, 0, 4, &[0; 40]))), None);
    assert_eq!(kind(fields(&bytes_of(0x0, 0, 4, &integer()[8..]))), None);
    let nested = (0..40).fold(integer(), |inner, _| bytes_of(0x19, 0, 16, &inner));
    assert_eq!(kind(fields(&nested)), None);
}

#[test]
fn shapes_and_fill_values_are_counted() {
    let two = [&[1, 2, 0, 0, 0, 0, 0, 0][..], &3_u64.to_le_bytes(), &5_u64.to_le_bytes()].concat();
    assert_eq!(space(fields(&two)), Some(Space { axes: 2, elements: 15 }));
    assert_eq!(space(fields(&two[..23])), None);
    assert_eq!(space(fields(&[2, 0, 0, 0])), Some(Space { axes: 0, elements: 1 }));
    assert_eq!(space(fields(&[2, 0, 0, 2])), Some(Space { axes: 0, elements: 0 }));
    assert_eq!(space(fields(&[2, 33, 0, 1])), None);
    assert_eq!(space(fields(&[&[1, 2, 0, 0, 0, 0, 0, 0][..], &[0xff; 16]].concat())), None);
    assert_eq!(fill(fields(&[2, 2, 0, 1, 4, 0, 0, 0, 9, 9, 9, 9])), Some(&[9; 4][..]));
    assert_eq!(fill(fields(&[2, 2, 0, 1, 5, 0, 0, 0, 9, 9, 9, 9])), None);
    assert_eq!(fill(fields(&[2, 2, 0, 0, 5, 0, 0, 0])), Some(&[][..]));
    assert_eq!(fill(fields(&[3, 0x29, 2, 0, 0, 0, 9])), None);
}

#[test]
fn filters_and_attributes_are_as_long_as_they_say() {
    let shuffle =
        [1, 1, 0, 0, 0, 0, 0, 0, 2, 0, 8, 0, 1, 0, 1, 0, b's', b'h', 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(filters(fields(&shuffle)), Some(vec![Filter { id: 2, values: vec![4] }]));
    for end in 0..shuffle.len() {
        assert_eq!(filters(fields(&shuffle[..end])), None);
    }
    let start = [1, 0, 2, 0, 12, 0, 8, 0, b'n', 0, 0, 0, 0, 0, 0, 0];
    let sound = [&start[..], &integer(), &[0; 4], &[1, 0, 0, 0, 0, 0, 0, 0], &[7, 0, 0, 0]].concat();
    assert_eq!(attribute(fields(&sound)), Some(()));
    assert_eq!(attribute(fields(&sound[..sound.len() - 1])), None);
    let mut named = sound.clone();
    named[9..16].fill(b'n');
    assert_eq!(attribute(fields(&named)), None);
    let mut many = sound;
    many[33] = 1;
    assert_eq!(attribute(fields(&many)), None);
}
