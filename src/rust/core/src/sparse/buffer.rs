//! Arrays of numbers that lie in memory or in a file: what a matrix of expression is made of. Both are read and written as
//! slices, so that no algorithm knows which it is.

use super::mapped::Mapped;
use crate::{Error, Result};
use bytemuck::Pod;
use std::fmt::{self, Debug, Formatter};
use std::ops::{Deref, DerefMut};
use std::path::Path;

/// An array of numbers.
pub enum Buffer<T: Pod> {
    /// In memory.
    Owned(Vec<T>),
    /// In a file, mapped into memory.
    Mapped(Mapped<T>),
}

impl<T: Pod> Buffer<T> {
    /// An empty array with room for `room` numbers: in memory, or in a file in `folder`.
    ///
    /// # Errors
    /// [`Error::Memory`]; [`Error::Disk`] or [`Error::Io`] for a file.
    pub fn with_room(room: usize, folder: Option<&Path>) -> Result<Self> {
        if let Some(folder) = folder {
            return Mapped::with_room(room, folder).map(Buffer::Mapped);
        }
        let mut owned = Vec::new();
        owned
            .try_reserve_exact(room)
            .map_err(|_| Error::Memory { what: "the matrix of counts", bytes: room.saturating_mul(size_of::<T>()) })?;
        Ok(Buffer::Owned(owned))
    }

    /// Adds a number. `false`: a file has no more room.
    #[inline]
    pub fn push(&mut self, value: T) -> bool {
        match self {
            Buffer::Owned(owned) => {
                owned.push(value);
                true
            }
            Buffer::Mapped(mapped) => mapped.push(value),
        }
    }

    /// Adds zeros up to the length `length`. `false`: a file has not that much room.
    pub fn lengthen(&mut self, length: usize) -> bool {
        match self {
            Buffer::Owned(owned) => {
                owned.resize(length, T::zeroed());
                true
            }
            Buffer::Mapped(mapped) => mapped.lengthen(length),
        }
    }

    /// Keeps the first `length` numbers and gives back the room of the others.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn shorten(&mut self, length: usize) -> Result<()> {
        match self {
            Buffer::Owned(owned) => {
                owned.truncate(length);
                owned.shrink_to_fit();
                Ok(())
            }
            Buffer::Mapped(mapped) => mapped.shorten(length),
        }
    }

    /// A copy in a place of the same kind.
    ///
    /// # Errors
    /// As [`Buffer::with_room`].
    pub fn duplicate(&self) -> Result<Self> {
        match self {
            Buffer::Owned(owned) => Ok(Buffer::Owned(owned.clone())),
            Buffer::Mapped(mapped) => mapped.duplicate().map(Buffer::Mapped),
        }
    }
}

impl<T: Pod> Deref for Buffer<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Buffer::Owned(owned) => owned,
            Buffer::Mapped(mapped) => mapped,
        }
    }
}

impl<T: Pod> DerefMut for Buffer<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Buffer::Owned(owned) => owned,
            Buffer::Mapped(mapped) => mapped,
        }
    }
}

impl<T: Pod> From<Vec<T>> for Buffer<T> {
    fn from(owned: Vec<T>) -> Self {
        Buffer::Owned(owned)
    }
}

/// The copy is in memory; [`Buffer::duplicate`] makes one in a file.
impl<T: Pod> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Buffer::Owned(self.to_vec())
    }
}

impl<T: Pod + PartialEq> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Pod + Debug> Debug for Buffer<T> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        Debug::fmt(&**self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_what_memory_holds() {
        let folder = std::env::temp_dir();
        let [mut memory, mut file] =
            [None, Some(folder.as_path())].map(|place| Buffer::with_room(5000, place).unwrap());
        for buffer in [&mut memory, &mut file] {
            assert!((0..4000u32).all(|value| buffer.push(value)) && buffer.lengthen(5000));
            buffer[4500] = 7;
            buffer.shorten(4600).unwrap();
        }
        assert!(matches!(file, Buffer::Mapped(_)));
        assert_eq!(memory, file);
        assert_eq!((file.len(), file[3999], file[4000], file[4500]), (4600, 3999, 0, 7));
        let copy = file.duplicate().unwrap();
        assert!(matches!(copy, Buffer::Mapped(_)) && copy == file);
    }

    #[test]
    fn a_file_has_the_room_it_was_made_with() {
        let mut file = Buffer::<f32>::with_room(2, Some(&std::env::temp_dir())).unwrap();
        assert!(file.push(1.0) && file.push(2.0) && !file.push(3.0) && !file.lengthen(3));
        assert_eq!(&*file, [1.0, 2.0]);
        let mut none = Buffer::<u16>::with_room(0, Some(&std::env::temp_dir())).unwrap();
        assert!(!none.push(1) && none.is_empty());
    }

    #[test]
    fn what_does_not_fit_the_disk_is_refused_beforehand() {
        let refused = Buffer::<f32>::with_room(1 << 50, Some(&std::env::temp_dir()));
        assert!(matches!(refused, Err(Error::Disk { bytes, .. }) if bytes == 1 << 52));
        let absent = Buffer::<f32>::with_room(1, Some(Path::new("/no/such/folder")));
        assert!(matches!(absent, Err(Error::Io { .. })));
    }
}
