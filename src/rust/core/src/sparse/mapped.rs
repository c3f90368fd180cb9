//! Numbers in a file that is mapped into memory. The file has no name once it is open (where the system allows), so that it is
//! gone with the process however that ends; its room is taken before anything is written, so that a full disk is an error and
//! not a signal. Pages that were touched count as memory of the process until they are given back: [`while_bounded`] does so
//! whenever there are too many. What was given back is still in the file, and usually in the cache of the system.

use crate::{Error, Result};
use bytemuck::Pod;
use memmap2::MmapRaw;
use std::fs::{File, OpenOptions};
use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

/// Numbers in a file.
pub struct Mapped<T: Pod> {
    file: File,
    folder: PathBuf,
    pages: Arc<MmapRaw>,
    length: usize,
    room: usize,
    kind: PhantomData<T>,
}

impl<T: Pod> Mapped<T> {
    /// None, with room for `room` of them in a new file in `folder`.
    ///
    /// # Errors
    /// [`Error::Disk`] where the disk has not that much room, [`Error::Io`].
    pub fn with_room(room: usize, folder: &Path) -> Result<Self> {
        let failed = |source| Error::Io { path: folder.to_owned(), source };
        // Nothing cannot be mapped.
        let bytes = room.max(1).saturating_mul(size_of::<T>());
        let file = nameless(folder).map_err(failed)?;
        reserve(&file, folder, bytes as u64)?;
        let pages = Arc::new(MmapRaw::map_raw(&file).map_err(failed)?);
        let mut all = MAPPED.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|pages| pages.strong_count() > 0);
        all.push(Arc::downgrade(&pages));
        Ok(Mapped { file, folder: folder.to_owned(), pages, length: 0, room, kind: PhantomData })
    }

    /// Adds a number, if there is room.
    #[inline]
    pub fn push(&mut self, value: T) -> bool {
        let fits = self.length < self.room;
        if fits {
            self.length += 1;
            let last = self.length - 1;
            self[last] = value;
        }
        fits
    }

    /// Adds zeros up to the length `length`, if there is room.
    pub fn lengthen(&mut self, length: usize) -> bool {
        // A new file holds zeros, and nothing was ever written behind the last number.
        let fits = length <= self.room;
        if fits {
            self.length = self.length.max(length);
        }
        fits
    }

    /// Keeps the first `length` numbers and gives back the room of the others.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn shorten(&mut self, length: usize) -> Result<()> {
        self.length = self.length.min(length);
        self.room = self.length;
        // Windows shortens no file that is mapped.
        if cfg!(unix) {
            let bytes = self.room.max(1) * size_of::<T>();
            self.file.set_len(bytes as u64).map_err(|source| Error::Io { path: self.folder.clone(), source })?;
        }
        Ok(())
    }

    /// A copy in a file of its own.
    ///
    /// # Errors
    /// As [`Mapped::with_room`].
    pub fn duplicate(&self) -> Result<Self> {
        let mut copy = Mapped::with_room(self.length, &self.folder)?;
        copy.length = self.length;
        copy.copy_from_slice(self);
        Ok(copy)
    }
}

impl<T: Pod> Deref for Mapped<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the mapping lives as long as `self`, begins at the border of a page, and holds at least `room` >= `length`
        // numbers, of which any bits are valid. Nobody else writes to the file, which has no name.
        unsafe { std::slice::from_raw_parts(self.pages.as_ptr().cast::<T>(), self.length) }
    }
}

impl<T: Pod> DerefMut for Mapped<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; `self` is the only one who reads or writes through the mapping.
        unsafe { std::slice::from_raw_parts_mut(self.pages.as_mut_ptr().cast::<T>(), self.length) }
    }
}

/// A new file that is removed when it is closed.
fn nameless(folder: &Path) -> io::Result<File> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = format!("samap-{}-{}.tmp", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let path = folder.join(name);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    #[cfg(windows)]
    {
        const FILE_FLAG_DELETE_ON_CLOSE: u32 = 0x0400_0000;
        std::os::windows::fs::OpenOptionsExt::custom_flags(&mut options, FILE_FLAG_DELETE_ON_CLOSE);
    }
    let file = options.open(&path)?;
    #[cfg(unix)]
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// Takes `bytes` of the disk for a file.
fn reserve(file: &File, folder: &Path, bytes: u64) -> Result<()> {
    let full = |free| Error::Disk { folder: folder.to_owned(), bytes, free };
    let free = free_space(folder);
    if free.is_some_and(|free| bytes > free) {
        return Err(full(free));
    }
    allocate(file, bytes).map_err(|source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => full(free),
        _ => Error::Io { path: folder.to_owned(), source },
    })
}

#[cfg(target_os = "linux")]
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let length = libc::off_t::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::StorageFull))?;
    loop {
        // SAFETY: the descriptor is that of an open file, and the call touches no memory of ours.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) } {
            0 => return Ok(()),
            libc::EINTR => {}
            libc::EOPNOTSUPP | libc::EINVAL => return fill(file, bytes),
            code => return Err(io::Error::from_raw_os_error(code)),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    fill(file, bytes)
}

/// Writes zeros: what takes room in every file system.
fn fill(mut file: &File, bytes: u64) -> io::Result<()> {
    let zeros = vec![0u8; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(zeros.len() as u64);
        io::Write::write_all(&mut file, &zeros[..now as usize])?;
        left -= now;
    }
    Ok(())
}

/// Bytes that the file system of a folder has left for this user; `None` where the system does not tell.
#[cfg(unix)]
fn free_space(folder: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(folder.as_os_str().as_bytes()).ok()?;
    // SAFETY: numbers all of whose bits may be 0.
    let mut about: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: a string that ends with 0, and a place for the answer.
    let answered = unsafe { libc::statvfs(path.as_ptr(), &raw mut about) } == 0;
    #[allow(clippy::unnecessary_cast)] // other widths on other systems
    answered.then(|| (about.f_bavail as u64).saturating_mul(about.f_frsize as u64))
}

#[cfg(not(unix))]
fn free_space(_: &Path) -> Option<u64> {
    None
}

/// Whether the files of a folder are themselves in memory (tmpfs).
pub fn is_in_memory(folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let of_line = |line: &str| {
        let mut fields = line.split(' ').skip(1);
        let (place, kind) = (fields.next()?.to_owned(), fields.next()?.to_owned());
        folder.starts_with(&place).then_some((place.len(), kind))
    };
    // The last of those mounted at one place hides the others.
    mounts
        .lines()
        .filter_map(of_line)
        .max_by_key(|(length, _)| *length)
        .is_some_and(|(_, kind)| kind == "tmpfs" || kind == "ramfs")
}

/// All mappings there are.
static MAPPED: Mutex<Vec<Weak<MmapRaw>>> = Mutex::new(Vec::new());

/// Time between two looks at the pages in use.
const PAUSE: Duration = Duration::from_millis(5);

/// Whether anything is mapped.
pub fn any() -> bool {
    MAPPED.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|pages| pages.strong_count() > 0)
}

/// Does `work` while a thread of its own keeps the pages of mapped files below `window` bytes (and what is touched in one
/// pause). Gives all of them back at the end.
pub fn while_bounded<T>(window: usize, work: impl FnOnce() -> T) -> T {
    release();
    let limit = pages_of_files().map(|other| other + window as u64);
    thread::scope(|scope| {
        let (end, ended) = channel::<()>();
        let watch = move || {
            while ended.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                let too_many = pages_of_files().zip(limit).is_none_or(|(now, limit)| now > limit);
                if too_many {
                    release();
                }
            }
            release();
        };
        // Without the thread the work is the same, with more pages in memory.
        let watching = thread::Builder::new().name("samap pages".to_owned()).spawn_scoped(scope, watch);
        let out = work();
        drop((end, watching));
        out
    })
}

/// Bytes of files that are mapped into this process and in memory now; `None` where the system does not tell.
fn pages_of_files() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let of = |label: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(label))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    // Files in memory (tmpfs) are counted apart.
    Some(of("RssFile:")? + of("RssShmem:").unwrap_or(0))
}

/// Gives back the pages of all mappings.
#[cfg(unix)]
fn release() {
    let all: Vec<_> = MAPPED.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
    for pages in all {
        // SAFETY: a shared mapping of a file: what is read afterwards comes from the file, which has what was written.
        // A failure leaves the pages where they are.
        let _ = unsafe { pages.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
    }
}

#[cfg(not(unix))]
fn release() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Bytes of a mapping that are in memory of this process, of the list of its mappings.
    fn resident(file: &Mapped<u32>) -> Option<u64> {
        let maps = std::fs::read_to_string("/proc/self/smaps").ok()?;
        let first = format!("{:x}-", file.pages.as_ptr() as usize);
        let mut lines = maps.lines().skip_while(|line| !line.starts_with(&first));
        let line = lines.find_map(|line| line.strip_prefix("Rss:"))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    }

    #[test]
    fn pages_are_given_back_and_come_again() {
        let room = 8 << 20;
        let mut file = Mapped::<u32>::with_room(room, &std::env::temp_dir()).unwrap();
        assert!((0..room as u32).all(|value| file.push(value)) && any());
        let sum = |file: &[u32]| file.iter().map(|&value| u64::from(value)).sum::<u64>();
        let expected = (room as u64 - 1) * room as u64 / 2;
        // Tests beside this one give back the pages of all mappings, of this one too, perhaps in the middle of a pass.
        assert!((0..100).any(|_| sum(&file) == expected && resident(&file) > Some(16 << 20)));
        let found = while_bounded(1 << 20, || {
            assert_eq!(resident(&file), Some(0));
            sum(&file)
        });
        assert_eq!(found, expected);
        assert_eq!(resident(&file), Some(0));
    }

    #[test]
    fn files_have_no_name() {
        let folder = std::env::temp_dir().join(format!("samap-nameless-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = Mapped::<u16>::with_room(100, &folder).unwrap();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        drop(file);
        std::fs::remove_dir(&folder).unwrap();
    }
}
