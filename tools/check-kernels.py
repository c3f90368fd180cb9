"""Compiles every CUDA kernel with the real NVRTC and assembles it with ptxas, for each architecture that is supported.

Usage: check-kernels.py [REPORT]. Needs the wheels nvidia-cuda-nvrtc and nvidia-cuda-nvcc of CUDA 13, or those of CUDA 12 (see
check-kernels.sh); no GPU. Writes registers, shared memory, spills and the occupancy that follows from them to REPORT; ends with
`kernels: N passed, N failed`. A kernel that does not compile or that spills registers fails.
"""

import ctypes
import pathlib
import re
import subprocess
import sys
import tempfile

import nvidia

WHEELS = pathlib.Path(list(nvidia.__path__)[0])
# CUDA 13 is one folder, CUDA 12 one per part.
NEW = (WHEELS / "cu13").exists()
LIBRARY = WHEELS / ("cu13/lib/libnvrtc.so.13" if NEW else "cuda_nvrtc/lib/libnvrtc.so.12")
ASSEMBLER = WHEELS / ("cu13/bin/ptxas" if NEW else "cuda_nvcc/bin/ptxas")
KERNELS = pathlib.Path(__file__).parent.parent / "src/rust/core/src/backend/cuda/kernels"
# Threads, blocks and shared memory (bytes) of a multiprocessor: V100, T4, A100, RTX 4090, H100, B200, RTX 5090.
ARCHITECTURES = {70: (2048, 32, 98304), 75: (1024, 16, 65536), 80: (2048, 32, 167936), 89: (1536, 24, 102400),
                 90: (2048, 32, 233472), 100: (2048, 32, 233472), 120: (1536, 24, 102400)}
# CUDA 12 has the first of them, CUDA 13 the others.
CHECKED = [a for a in ARCHITECTURES if (a >= 75 if NEW else a in (70, 80, 89, 90))]
REGISTERS = 65536
# Threads per block as the host launches them, where the kernel does not say (__launch_bounds__).
DEFAULT_THREADS = 256
THREADS = {"row_moments": 128, "scale_rows": 128, "measure": 128, "distances_of": 128, "count_used": 128,
           "scale_entries": 128, "scan_columns": 128, "breadth_first": 128, "epoch": 128, "operator_centre": 32,
           "count_mutual": 128, "write_mutual": 128, "row_statistics": 128, "rescale": 128, "strongest": 128}


def nvrtc():
    library = ctypes.CDLL(str(LIBRARY))
    library.nvrtcGetErrorString.restype = ctypes.c_char_p
    return library


def compile_ptx(library, text, name, architecture):
    """PTX of a kernel file with the options of the host; raises RuntimeError with the compiler's log."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), name.encode(), 0, None, None)
    options = [f"--gpu-architecture=compute_{architecture}".encode(), b"--fmad=false"]
    status = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    if status != 0:
        raise RuntimeError(log.value.decode())
    library.nvrtcGetPTXSize(program, ctypes.byref(size))
    ptx = ctypes.create_string_buffer(size.value)
    library.nvrtcGetPTX(program, ptx)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return ptx.value


def assemble(ptx, architecture):
    """What ptxas says of each kernel: name -> (registers, shared bytes, spilled bytes)."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "kernel.ptx"
        source.write_bytes(ptx)
        command = [ASSEMBLER, "-v", f"-arch=sm_{architecture}", source, "-o", f"{folder}/kernel.cubin"]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    found, name = {}, None
    for line in done.stderr.splitlines():
        if match := re.search(r"Compiling entry function '(\w+)'", line):
            name = match[1]
            found[name] = [0, 0, 0]
        if name and (match := re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line)):
            found[name][2] = int(match[1]) + int(match[2])
        if name and (match := re.search(r"Used (\d+) registers", line)):
            found[name][0] = int(match[1])
            found[name][1] = int(shared[1]) if (shared := re.search(r"(\d+) bytes smem", line)) else 0
    return found


def occupancy(registers, shared, threads, architecture):
    """Share of a multiprocessor's threads that can be resident."""
    most_threads, most_blocks, most_shared = ARCHITECTURES[architecture]
    of_warp = -(-registers * 32 // 256) * 256
    blocks = min(most_blocks, most_threads // threads, REGISTERS // of_warp // (threads // 32))
    if shared:
        blocks = min(blocks, most_shared // (shared + (1024 if architecture >= 80 else 0)))
    return blocks * threads / most_threads


def main(report):
    library, passed, failed, lines = nvrtc(), 0, 0, []
    common = (KERNELS / "common.cuh").read_text()
    for source in sorted(KERNELS.glob("*.cu")):
        text = f'{common}\n#line 1 "{source.name}"\n{source.read_text()}'
        bounds = {name: int(count) for count, name in re.findall(r"__launch_bounds__\((\d+)(?:, \d+)?\)\s+(\w+)\s*\(", text)}
        for architecture in CHECKED:
            try:
                kernels = assemble(compile_ptx(library, text, source.name, architecture), architecture)
            except RuntimeError as error:
                print(f"{source.name} sm_{architecture}: {error}")
                failed += 1
                continue
            for name, (registers, shared, spills) in sorted(kernels.items()):
                block = bounds.get(name, THREADS.get(name, DEFAULT_THREADS))
                share = occupancy(registers, shared, block, architecture)
                lines.append(f"| {source.stem} | {name} | {architecture} | {block} | {registers} | {shared} | {spills} | {share:.0%} |")
                passed, failed = passed + (spills == 0), failed + (spills != 0)
                if spills:
                    print(f"{source.name} sm_{architecture}: {name} spills {spills} bytes")
    head = ["# Registers and occupancy of the kernels", "", "Made by `make check-kernels` with NVRTC and ptxas 12.8.", "",
            "| file | kernel | sm | threads per block | registers | shared bytes | spilled bytes | occupancy |",
            "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    if report:
        pathlib.Path(report).write_text("\n".join(head + lines) + "\n")
    print(f"kernels: {passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else None))
