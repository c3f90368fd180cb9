// A CUDA driver and an NVRTC that run kernels on the CPU, for tests only. Every allocation ends at a page that must not be
// touched and starts with a fill pattern; any call can be made to fail. `emu_*` are the tests' controls.
#include "fibers.h"
#include <atomic>
#include <dlfcn.h>
#include <fstream>
#include <map>
#include <mutex>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <unistd.h>

#define API extern "C" __attribute__((visibility("default")))
typedef unsigned long long Address;
enum { OK = 0, INVALID = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, NOT_FOUND = 500, LAUNCH_FAILED = 719 };

// ---------------------------------------------------------------- controls
enum Kind { ALLOCATE, COPY, LAUNCH, COMPILE, LOAD, SYNCHRONISE, KINDS };
static std::atomic<long> calls[KINDS], fail_at[KINDS];
static std::atomic<int> fill{0xA5};
static std::atomic<size_t> memory_limit{0};
static std::mutex lock;
struct Region {
    size_t bytes, mapped;
    void* base;
};
static std::map<Address, Region> regions;
static size_t used = 0;

static size_t total_memory() {
    if (memory_limit) return memory_limit;
    const char* text = getenv("EMU_CUDA_MEMORY");
    return text ? strtoull(text, nullptr, 10) : 2ull << 30;
}
static bool fails(Kind kind) { return ++calls[kind] == fail_at[kind]; }
API long emu_calls(int kind) { return calls[kind]; }
// The n-th call of a kind from now on fails; 0: none does.
API void emu_fail(int kind, long n) { calls[kind] = 0, fail_at[kind] = n; }
API void emu_fill(int byte) { fill = byte; }
API void emu_limit(size_t bytes) { memory_limit = bytes; }
API long emu_live() {
    std::lock_guard<std::mutex> guard(lock);
    return (long)regions.size();
}

// ---------------------------------------------------------------- driver: devices and contexts
static thread_local void* current_context = nullptr;
static char the_context[64], the_stream[64];
API int cuInit(unsigned) { return getenv("EMU_CUDA_NO_DEVICE") ? NO_DEVICE : OK; }
API int cuDriverGetVersion(int* version) { return *version = 12080, OK; }
API int cuDeviceGetCount(int* count) { return *count = 1, OK; }
API int cuDeviceGet(int* device, int ordinal) { return ordinal ? 101 : (*device = 0, OK); }
API int cuDeviceGetName(char* name, int size, int) { return snprintf(name, size, "CPU emulation"), OK; }
API int cuDeviceTotalMem_v2(size_t* bytes, int) { return *bytes = total_memory(), OK; }
API int cuDeviceGetAttribute(int* value, int attribute, int) {
    static const std::map<int, int> known{{75, 8},   {76, 0}, {1, 1024},  {8, 49152}, {10, 32},
                                           {13, 1000000}, {16, 4}, {39, 2048}, {115, 1}};
    auto found = known.find(attribute);
    return *value = found == known.end() ? 0 : found->second, OK;
}
API int cuDevicePrimaryCtxRetain(void** context, int) { return *context = the_context, OK; }
API int cuDevicePrimaryCtxRelease_v2(int) { return OK; }
API int cuCtxGetCurrent(void** context) { return *context = current_context, OK; }
API int cuCtxSetCurrent(void* context) { return current_context = context, OK; }
API int cuProfilerStart() { return OK; }
API int cuProfilerStop() { return OK; }
API int cuCtxSynchronize() { return fails(SYNCHRONISE) ? LAUNCH_FAILED : OK; }
API int cuMemGetInfo_v2(size_t* free, size_t* total) { return *total = total_memory(), *free = *total - used, OK; }
API int cuStreamCreate(void** stream, unsigned) { return *stream = the_stream, OK; }
API int cuStreamDestroy_v2(void*) { return OK; }
API int cuStreamSynchronize(void*) { return fails(SYNCHRONISE) ? LAUNCH_FAILED : OK; }
API int cuStreamWaitEvent(void*, void*, unsigned) { return OK; }
API int cuEventCreate(void** event, unsigned) { return *event = new char, OK; }
API int cuEventDestroy_v2(void* event) { return delete (char*)event, OK; }
API int cuEventRecord(void*, void*) { return OK; }
API int cuEventSynchronize(void*) { return OK; }
API int cuGetErrorName(int error, const char** name) {
    static const std::map<int, const char*> names{{OK, "CUDA_SUCCESS"},
                                                  {INVALID, "CUDA_ERROR_INVALID_VALUE"},
                                                  {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"},
                                                  {NO_DEVICE, "CUDA_ERROR_NO_DEVICE"},
                                                  {NOT_FOUND, "CUDA_ERROR_NOT_FOUND"},
                                                  {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED"}};
    auto found = names.find(error);
    return *name = found == names.end() ? "CUDA_ERROR_UNKNOWN" : found->second, OK;
}
API int cuGetErrorString(int error, const char** text) {
    return *text = error == OUT_OF_MEMORY ? "out of memory" : error == NO_DEVICE ? "no CUDA-capable device is detected" : "failed", OK;
}

// ---------------------------------------------------------------- driver: memory
API int cuMemAlloc_v2(Address* address, size_t bytes) {
    if (fails(ALLOCATE)) return OUT_OF_MEMORY;
    std::lock_guard<std::mutex> guard(lock);
    if (!bytes) return INVALID;
    if (used + bytes > total_memory()) return OUT_OF_MEMORY;
    const size_t page = sysconf(_SC_PAGESIZE), padded = (bytes + 15) / 16 * 16;
    const size_t body = (padded + page - 1) / page * page, mapped = body + page;
    char* base = (char*)mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return OUT_OF_MEMORY;
    mprotect(base + body, page, PROT_NONE);
    memset(base, fill, body);
    *address = (Address)(base + body - padded);
    regions[*address] = {bytes, mapped, base};
    used += bytes;
    return OK;
}
API int cuMemFree_v2(Address address) {
    std::lock_guard<std::mutex> guard(lock);
    auto found = regions.find(address);
    if (found == regions.end()) return INVALID;
    used -= found->second.bytes;
    munmap(found->second.base, found->second.mapped);
    regions.erase(found);
    return OK;
}
// Memory that is never paged out is memory like any other here, and the pool keeps nothing.
API int cuMemHostAlloc(void** address, size_t bytes, unsigned) {
    if (fails(ALLOCATE)) return OUT_OF_MEMORY;
    return *address = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096), *address ? OK : OUT_OF_MEMORY;
}
API int cuMemFreeHost(void* address) { return free(address), OK; }
API int cuDeviceGetDefaultMemPool(void** pool, int) { return *pool = the_stream, OK; }
API int cuMemPoolSetAttribute(void*, int, void*) { return OK; }
API int cuMemPoolGetAttribute(void*, int, void* value) { return *(uint64_t*)value = 0, OK; }
API int cuMemPoolTrimTo(void*, size_t) { return OK; }
API int cuMemAllocAsync(Address* address, size_t bytes, void*) { return cuMemAlloc_v2(address, bytes); }
API int cuMemFreeAsync(Address address, void*) { return cuMemFree_v2(address); }
static bool inside(Address address, size_t bytes) {
    std::lock_guard<std::mutex> guard(lock);
    auto next = regions.upper_bound(address);
    if (next == regions.begin()) return false;
    --next;
    return address + bytes <= next->first + next->second.bytes;
}
API int cuMemcpyHtoDAsync_v2(Address to, const void* from, size_t bytes, void*) {
    if (fails(COPY) || !inside(to, bytes)) return INVALID;
    return memcpy((void*)to, from, bytes), OK;
}
API int cuMemcpyDtoHAsync_v2(void* to, Address from, size_t bytes, void*) {
    if (fails(COPY) || !inside(from, bytes)) return INVALID;
    return memcpy(to, (void*)from, bytes), OK;
}
API int cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes, void*) {
    if (fails(COPY) || !inside(to, bytes) || !inside(from, bytes)) return INVALID;
    return memmove((void*)to, (void*)from, bytes), OK;
}
API int cuMemsetD8Async(Address to, unsigned char byte, size_t bytes, void*) {
    if (fails(COPY) || !inside(to, bytes)) return INVALID;
    return memset((void*)to, byte, bytes), OK;
}

// ---------------------------------------------------------------- driver: modules and launches
struct Kernel {
    void (*run)(void**);
    bool barriers;
};
API int cuModuleLoadData(void** module, const void* image) {
    if (fails(LOAD)) return 218;
    std::string text((const char*)image), tag = "// emulated ";
    if (text.rfind(tag, 0) != 0) return 218;
    *module = dlopen(text.substr(tag.size(), text.find('\n') - tag.size()).c_str(), RTLD_NOW | RTLD_LOCAL);
    return *module ? OK : 218;
}
API int cuModuleUnload(void* module) { return dlclose(module), OK; }
API int cuModuleGetFunction(void** function, void* module, const char* name) {
    if (fails(LOAD)) return NOT_FOUND;
    return *function = dlsym(module, (std::string("emu_kernel_") + name).c_str()), *function ? OK : NOT_FOUND;
}
static unsigned workers() {
    const char* text = getenv("EMU_CUDA_THREADS");
    return text ? std::max(1, atoi(text)) : std::max(1u, std::thread::hardware_concurrency());
}
API int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                       unsigned shared, void*, void** arguments, void**) {
    const unsigned threads = bx * by * bz;
    if (fails(LAUNCH)) return LAUNCH_FAILED;
    if (!threads || threads > 1024 || !gx || !gy || !gz || gy > 65535 || gz > 65535 || shared) return INVALID;
    const Kernel* kernel = (const Kernel*)function;
    const unsigned long blocks = (unsigned long)gx * gy * gz;
    std::atomic<unsigned long> next{0};
    auto work = [&] {
        const size_t bytes = kernel->barriers ? STACK * threads : 0;
        const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        char* stacks = bytes ? (char*)mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, -1, 0) : nullptr;
        Block block;
        block.fibers.resize(threads);
        block.slots.assign((threads + 31) / 32 * 32, 0);
        block.kernel = kernel->run;
        block.arguments = arguments;
        for (unsigned long k; (k = next++) < blocks;) {
            EmuIndex at{(unsigned)(k % gx), (unsigned)(k / gx % gy), (unsigned)(k / gx / gy)};
            run_block(block, stacks, at, {bx, by, bz}, {gx, gy, gz}, kernel->barriers);
        }
        if (bytes) munmap(stacks, bytes);
    };
    std::vector<std::thread> pool;
    for (unsigned i = 1; i < std::min<unsigned long>(workers(), blocks); i++) pool.emplace_back(work);
    std::thread(work).join();
    for (auto& thread : pool) thread.join();
    return OK;
}

// ---------------------------------------------------------------- NVRTC
struct Program {
    std::string source, log, image;
};
API int nvrtcVersion(int* major, int* minor) { return *major = 12, *minor = 8, OK; }
API int nvrtcCreateProgram(void** program, const char* source, const char*, int, const char* const*, const char* const*) {
    return *program = new Program{source, "", ""}, OK;
}
API int nvrtcDestroyProgram(void** program) { return delete (Program*)*program, *program = nullptr, OK; }
static std::string folder() {
    Dl_info self;
    dladdr((void*)folder, &self);
    std::string path = self.dli_fname;
    return path.substr(0, path.rfind('/'));
}
// The C++ of a kernel file: the source as it is, and behind it an entry per kernel.
static std::string as_cpp(const std::string& source) {
    static const std::regex kernels(R"(__global__\s+(?:void\s+)?(?:__launch_bounds__\([^)]*\)\s*)?(?:void\s+)?(\w+)\s*\()");
    const bool barriers = std::regex_search(source, std::regex("__sync|_sync\\("));
    std::string out = "#include \"device.h\"\n#line 1 \"kernel.cu\"\n" + source + "\n";
    out += "struct EmuKernel { void (*run)(void**); bool barriers; };\n";
    for (std::sregex_iterator i(source.begin(), source.end(), kernels), end; i != end; ++i) {
        const std::string name = (*i)[1].str();
        out += "static void emu_run_" + name + "(void** a) { emu_call(&" + name + ", a); }\n";
        out += "extern \"C\" const EmuKernel emu_kernel_" + name + "; const EmuKernel emu_kernel_" + name + " = { emu_run_" +
               name + ", " + (barriers ? "true" : "false") + " };\n";
    }
    return out;
}
API int nvrtcCompileProgram(void* handle, int count, const char* const* options) {
    Program* program = (Program*)handle;
    if (fails(COMPILE)) return program->log = "failed as told", 6;
    const std::string text = as_cpp(program->source), home = folder();
    std::string flags = "-std=c++17 -O2 -march=native -fPIC -shared -w -ffp-contract=off -I'" + home + "'";
    for (int i = 0; i < count; i++)
        if (!strncmp(options[i], "-D", 2)) flags += std::string(" '") + options[i] + "'";
    // Kept beside the emulator under the name of its content: other runs need not compile it again.
    const std::string name = home + "/kernel-" + std::to_string(std::hash<std::string>()(text + flags));
    if (access((name + ".so").c_str(), R_OK) != 0) {
        const std::string own = name + "." + std::to_string(getpid());
        std::ofstream(own + ".cpp") << text;
        const std::string command = "g++ " + flags + " -o '" + own + ".so' '" + own + ".cpp' '" + home + "/libcuda.so.1' 2> '" + own + ".log'";
        const int status = system(command.c_str());
        std::stringstream log;
        log << std::ifstream(own + ".log").rdbuf();
        program->log = log.str();
        if (status) return 6;
        rename((own + ".so").c_str(), (name + ".so").c_str());
        unlink((own + ".cpp").c_str());
        unlink((own + ".log").c_str());
    }
    program->image = "// emulated " + name + ".so\n";
    return OK;
}
API int nvrtcGetProgramLogSize(void* program, size_t* size) { return *size = ((Program*)program)->log.size() + 1, OK; }
API int nvrtcGetProgramLog(void* program, char* out) { return strcpy(out, ((Program*)program)->log.c_str()), OK; }
API int nvrtcGetPTXSize(void* program, size_t* size) { return *size = ((Program*)program)->image.size() + 1, OK; }
API int nvrtcGetPTX(void* program, char* out) { return strcpy(out, ((Program*)program)->image.c_str()), OK; }
API const char* nvrtcGetErrorString(int error) {
    return error == OK ? "NVRTC_SUCCESS" : error == 6 ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR";
}
