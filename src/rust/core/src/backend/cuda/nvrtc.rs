//! NVRTC, CUDA's run-time compiler. In: CUDA C. Out: PTX. It is looked up here and not by cudarc, which knows the library of
//! one version of CUDA only: a driver runs what the NVRTC of its own version or of an older one makes.

use super::gpu::unusable;
use crate::Result;
use libloading::Library;
use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::{Arc, Mutex, PoisonError};

/// Versions of CUDA whose NVRTC is looked for, and the first compute capability (× 10) that each compiles for, newest first.
const VERSIONS: [(i32, i32); 2] = [(13, 75), (12, 50)];

/// What NVRTC returns for options it does not know.
const INVALID_OPTION: c_int = 5;

type Program = *mut c_void;
type Strings = *const *const c_char;
type Create = unsafe extern "C" fn(*mut Program, *const c_char, *const c_char, c_int, Strings, Strings) -> c_int;
type Compile = unsafe extern "C" fn(Program, c_int, Strings) -> c_int;
type Length = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type Text = unsafe extern "C" fn(Program, *mut c_char) -> c_int;
type Destroy = unsafe extern "C" fn(*mut Program) -> c_int;
type Version = unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int;

/// The functions of a loaded library.
pub(super) struct Nvrtc {
    create: Create,
    compile: Compile,
    ptx_size: Length,
    ptx: Text,
    log_size: Length,
    log: Text,
    destroy: Destroy,
    version: (c_int, c_int),
    _library: Library,
}

/// Why there is no PTX.
pub(super) enum Failure {
    /// The architecture is not known to this compiler.
    Architecture,
    /// What the compiler said.
    Other(String),
}

/// Loaded libraries by name: a process loads each once.
static LOADED: Mutex<Option<HashMap<String, Arc<Nvrtc>>>> = Mutex::new(None);

impl Nvrtc {
    /// The newest NVRTC that a driver for CUDA version `driver` (major) can use and that knows a compute capability (× 10).
    ///
    /// # Errors
    /// [`crate::Error::Device`] where there is none.
    pub(super) fn open(driver: i32, capability: i32) -> Result<Arc<Nvrtc>> {
        let names = names(driver, capability);
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = loaded.get_or_insert_default();
        for name in &names {
            if let Some(nvrtc) = loaded.get(name) {
                return Ok(Arc::clone(nvrtc));
            }
            if let Some(nvrtc) = Self::load(name) {
                let nvrtc = Arc::new(nvrtc);
                loaded.insert(name.clone(), Arc::clone(&nvrtc));
                return Ok(nvrtc);
            }
        }
        Err(unusable(format!(
            "there is no NVRTC, the run-time compiler of CUDA (none of {} was found)",
            names.join(", ")
        )))
    }

    fn load(name: &str) -> Option<Nvrtc> {
        // SAFETY: NVRTC runs nothing when it is loaded; its functions have had these types since CUDA 7.
        unsafe {
            let library = Library::new(name).ok()?;
            let (mut major, mut minor) = (0, 0);
            let version: Version = *library.get(b"nvrtcVersion\0").ok()?;
            version(&raw mut major, &raw mut minor);
            Some(Nvrtc {
                create: *library.get(b"nvrtcCreateProgram\0").ok()?,
                compile: *library.get(b"nvrtcCompileProgram\0").ok()?,
                ptx_size: *library.get(b"nvrtcGetPTXSize\0").ok()?,
                ptx: *library.get(b"nvrtcGetPTX\0").ok()?,
                log_size: *library.get(b"nvrtcGetProgramLogSize\0").ok()?,
                log: *library.get(b"nvrtcGetProgramLog\0").ok()?,
                destroy: *library.get(b"nvrtcDestroyProgram\0").ok()?,
                version: (major, minor),
                _library: library,
            })
        }
    }

    /// As in "13.0".
    pub(super) fn version(&self) -> String {
        format!("{}.{}", self.version.0, self.version.1)
    }

    /// PTX of a source.
    pub(super) fn ptx(&self, source: &str, options: &[String]) -> std::result::Result<String, Failure> {
        let text = |text: &str| CString::new(text).map_err(|error| Failure::Other(error.to_string()));
        let source = text(source)?;
        let options: Vec<CString> = options.iter().map(|option| text(option)).collect::<std::result::Result<_, _>>()?;
        let options: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        let (mut program, none) = (std::ptr::null_mut(), std::ptr::null());
        // SAFETY: source and options live until the program is destroyed, once, below; a name and headers are not needed.
        unsafe {
            let status = (self.create)(&raw mut program, source.as_ptr(), std::ptr::null(), 0, none, none);
            if status != 0 {
                return Err(Failure::Other(format!("NVRTC made no program (error {status})")));
            }
            let status = (self.compile)(program, options.len() as c_int, options.as_ptr());
            let made = match status {
                0 => text_of(program, self.ptx_size, self.ptx)
                    .ok_or_else(|| Failure::Other("there is no PTX".to_owned())),
                INVALID_OPTION => Err(Failure::Architecture),
                _ => {
                    let log = text_of(program, self.log_size, self.log).unwrap_or_default();
                    Err(Failure::Other(format!("error {status} of NVRTC {}: {log}", self.version())))
                }
            };
            // A program that cannot be destroyed is lost memory and no more.
            (self.destroy)(&raw mut program);
            made
        }
    }
}

/// File names of the libraries to look for, best first; the last one is that of the development files, of any version.
fn names(driver: i32, capability: i32) -> Vec<String> {
    let usable = VERSIONS.iter().filter(|&&(major, least)| major <= driver && least <= capability);
    let (name, any): (fn(i32) -> String, &str) = if cfg!(windows) {
        (|major| format!("nvrtc64_{major}0_0.dll"), "nvrtc.dll")
    } else {
        (|major| format!("libnvrtc.so.{major}"), "libnvrtc.so")
    };
    usable.map(|&(major, _)| name(major)).chain(std::iter::once(any.to_owned())).collect()
}

/// A text of a program: its length with the zero at its end, then its characters.
///
/// # Safety
/// The program was made by the library of the two functions.
unsafe fn text_of(program: Program, length: Length, text: Text) -> Option<String> {
    let mut bytes = 0;
    // SAFETY: the caller's promise; the buffer is as long as the library says.
    unsafe {
        if length(program, &raw mut bytes) != 0 {
            return None;
        }
        let mut characters = vec![0u8; bytes];
        if text(program, characters.as_mut_ptr().cast()) != 0 {
            return None;
        }
        let end = characters.iter().position(|&byte| byte == 0).unwrap_or(bytes);
        Some(String::from_utf8_lossy(&characters[..end]).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    #[cfg(not(windows))]
    fn the_compiler_is_no_newer_than_the_driver_and_knows_the_gpu() {
        assert_eq!(names(12, 90), ["libnvrtc.so.12", "libnvrtc.so"]);
        assert_eq!(names(13, 90), ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"]);
        assert_eq!(names(13, 70), ["libnvrtc.so.12", "libnvrtc.so"]);
        // A driver that is newer than all that is known runs what these make.
        assert_eq!(names(14, 120), ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"]);
    }
}
