//! References to strings of variable length as they are in the file. HDF5 would replace each by its string; it is told
//! of a conversion of strings to opaque bytes that leaves them as they are. The strings are then read by
//! [`super::heap`].

use hdf5_metno as h5;
use hdf5_metno::types::VarLenAscii;
use hdf5_metno::{Container, Dataspace, Datatype, Selection, h5check};
use hdf5_metno_sys::h5::{H5free_memory, herr_t};
use hdf5_metno_sys::h5a::H5Aread;
use hdf5_metno_sys::h5d::H5Dread;
use hdf5_metno_sys::h5i::{H5I_type_t, hid_t};
use hdf5_metno_sys::h5p::H5P_DEFAULT;
use hdf5_metno_sys::h5s::H5S_ALL;
use hdf5_metno_sys::h5t::{
    H5T_bkg_t, H5T_cdata_t, H5T_class_t, H5T_cmd_t, H5T_pers_t, H5Tcreate, H5Tget_size, H5Tget_tag, H5Tinsert,
    H5Tis_variable_str, H5Tregister, H5Tset_tag,
};
use std::ffi::{CStr, CString, c_void};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// Name of the conversion, and tag of the type it is for: no other user of HDF5 in the process gets it.
const TAG: &CStr = c"samap: references";

/// References of a dataset or attribute, `size` bytes each: those of all elements, or of elements `range` of the only
/// axis.
/// `member`: of that member of its records.
///
/// # Errors
/// What HDF5 says.
pub fn read(
    data: &Container,
    member: Option<&str>,
    range: Option<Range<usize>>,
    size: usize,
) -> Result<Vec<u8>, h5::Error> {
    // HDF5 has one lock, which is held from the first to the last call.
    h5::sync::sync(|| {
        tell_of_conversion()?;
        let kind = memory_type(member, size)?;
        let Some(range) = range else {
            let mut references = vec![0; data.size() * size];
            // SAFETY: all elements of the dataset or attribute are read, for which there is room.
            h5check(unsafe { read_into(data, &kind, (H5S_ALL, H5S_ALL), &mut references) })?;
            return Ok(references);
        };
        let mut references = vec![0; range.len() * size];
        let to = Dataspace::try_new([range.len()])?;
        let from = data.space()?.select(Selection::new(range))?;
        // SAFETY: `to` has as many elements as there is room for, and HDF5 refuses to read another number of them.
        h5check(unsafe { read_into(data, &kind, (to.id(), from.id()), &mut references) })?;
        Ok(references)
    })
}

/// # Safety
/// `out` has room for all elements of the first space, or of `data` where that is `H5S_ALL`.
unsafe fn read_into(data: &Container, kind: &Datatype, spaces: (hid_t, hid_t), out: &mut [u8]) -> herr_t {
    let out = out.as_mut_ptr().cast::<c_void>();
    if data.id_type() == H5I_type_t::H5I_ATTR {
        // SAFETY: the ids are open, and the caller answers for the room.
        unsafe { H5Aread(data.id(), kind.id(), out) }
    } else {
        // SAFETY: as above.
        unsafe { H5Dread(data.id(), kind.id(), spaces.0, spaces.1, H5P_DEFAULT, out) }
    }
}

/// Opaque bytes, or records whose only member they are.
fn memory_type(member: Option<&str>, size: usize) -> Result<Datatype, h5::Error> {
    let references = new_type(H5T_class_t::H5T_OPAQUE, size)?;
    // SAFETY: the type is open and opaque, and the tag ends with NUL.
    h5check(unsafe { H5Tset_tag(references.id(), TAG.as_ptr()) })?;
    let Some(member) = member else { return Ok(references) };
    let name = CString::new(member).map_err(|_| h5::Error::from("a name with NUL"))?;
    let record = new_type(H5T_class_t::H5T_COMPOUND, size)?;
    // SAFETY: both types are open, the member fits the record, and the name ends with NUL.
    h5check(unsafe { H5Tinsert(record.id(), name.as_ptr(), 0, references.id()) })?;
    Ok(record)
}

fn new_type(class: H5T_class_t, size: usize) -> Result<Datatype, h5::Error> {
    // SAFETY: takes numbers alone.
    let id = h5check(unsafe { H5Tcreate(class, size) })?;
    // SAFETY: the id was made here and is given away.
    unsafe { h5::from_id(id) }
}

/// Registers the conversion, once in the process.
fn tell_of_conversion() -> Result<(), h5::Error> {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if TOLD.load(Ordering::Acquire) {
        return Ok(());
    }
    let (strings, references) = (Datatype::from_type::<VarLenAscii>()?, memory_type(None, 1)?);
    let soft = H5T_pers_t::H5T_PERS_SOFT;
    // SAFETY: the types are open, the name ends with NUL, and the function is as HDF5 wants it and is there for ever.
    h5check(unsafe { H5Tregister(soft, TAG.as_ptr(), strings.id(), references.id(), Some(leave)) })?;
    TOLD.store(true, Ordering::Release);
    Ok(())
}

/// The conversion: nothing is to be done, where it is asked for by [`read`] and the sizes are the same.
extern "C" fn leave(
    from: hid_t,
    to: hid_t,
    data: *mut H5T_cdata_t,
    _elements: usize,
    _stride: usize,
    _background_stride: usize,
    _values: *mut c_void,
    _background: *mut c_void,
    _transfer: hid_t,
) -> herr_t {
    // SAFETY: HDF5 gives a pointer to what belongs to the conversion.
    let Some(data) = (unsafe { data.as_mut() }) else { return -1 };
    if data.command != H5T_cmd_t::H5T_CONV_INIT {
        return 0;
    }
    data.need_bkg = H5T_bkg_t::H5T_BKG_NO;
    // SAFETY: HDF5 gives open types.
    let (strings, sizes) = unsafe { (H5Tis_variable_str(from) > 0, (H5Tget_size(from), H5Tget_size(to))) };
    if strings && sizes.0 == sizes.1 && is_ours(to) { 0 } else { -1 }
}

fn is_ours(kind: hid_t) -> bool {
    // SAFETY: the type is open; what comes is null or ends with NUL, and is given back.
    unsafe {
        let tag = H5Tget_tag(kind);
        let ours = !tag.is_null() && CStr::from_ptr(tag) == TAG;
        H5free_memory(tag.cast());
        ours
    }
}
