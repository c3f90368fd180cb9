// Runs one block of threads on one OS thread. Each thread of the block is a fiber; a barrier is a switch to the scheduler,
// which releases a warp (or the block) once all of its living threads wait at the same kind of barrier.
#pragma once
#include "device.h"
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <vector>

extern "C" void emu_switch(void** save, void* to);
#if defined(__x86_64__)
asm(".text\n.globl emu_switch\n.hidden emu_switch\nemu_switch:\n push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n"
    " push %r15\n mov %rsp,(%rdi)\n mov %rsi,%rsp\n pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret\n");
#else
#error "the emulator switches stacks in x86-64 assembly"
#endif

enum class Waits { no, warp, block };
struct Fiber {
    void* stack_pointer;
    EmuThread thread;
    bool done;
    Waits waits;
};

struct Block {
    std::vector<Fiber> fibers;
    std::vector<uint64_t> slots;
    void* scheduler;
    Fiber* current;
    void (*kernel)(void**);
    void** arguments;
};

static const size_t STACK = 128 * 1024;
static thread_local Block* running = nullptr;

extern "C" EmuThread* emu_thread() { return &running->current->thread; }
extern "C" uint64_t* emu_warp_slots() { return &running->slots[(running->current - running->fibers.data()) / 32 * 32]; }
static void wait_at(Waits kind) {
    Fiber* self = running->current;
    self->waits = kind;
    emu_switch(&self->stack_pointer, running->scheduler);
}
extern "C" void emu_syncthreads() { wait_at(Waits::block); }
extern "C" void emu_syncwarp() { wait_at(Waits::warp); }

static void fiber_main() {
    running->kernel(running->arguments);
    running->current->done = true;
    emu_switch(&running->current->stack_pointer, running->scheduler);
    __builtin_trap();
}

static void prepare(Fiber& fiber, char* stack, unsigned index) {
    fiber.done = false;
    fiber.waits = Waits::no;
    // Stacks start at different cache lines.
    uintptr_t top = ((uintptr_t)(stack + STACK * (index + 1)) & ~15ul) - 64 * (index % 61);
    void** frame = (void**)top;
    *--frame = nullptr;
    *--frame = (void*)fiber_main;
    for (int saved = 0; saved < 6; saved++) *--frame = nullptr;
    fiber.stack_pointer = frame;
}

// Whether all living fibers of a range wait at `kind`; if so they go on.
static bool release(Block& block, size_t first, size_t end, Waits kind) {
    bool any = false;
    for (size_t t = first; t < end; t++) {
        if (block.fibers[t].done) continue;
        any = true;
        if (block.fibers[t].waits != kind) return false;
    }
    for (size_t t = first; t < end; t++) block.fibers[t].waits = Waits::no;
    return any;
}

static void run_fibers(Block& block) {
    const size_t threads = block.fibers.size();
    for (;;) {
        bool moved = false, alive = false;
        for (Fiber& fiber : block.fibers) {
            if (fiber.done || fiber.waits != Waits::no) continue;
            block.current = &fiber;
            emu_switch(&block.scheduler, fiber.stack_pointer);
            moved = true;
        }
        for (size_t first = 0; first < threads; first += 32)
            moved |= release(block, first, std::min(threads, first + 32), Waits::warp);
        for (const Fiber& fiber : block.fibers) alive |= !fiber.done;
        if (!alive) return;
        if (release(block, 0, threads, Waits::block)) continue;
        if (!moved) {
            fprintf(stderr, "emulator: threads wait at different barriers\n");
            abort();
        }
    }
}

// Runs a block; `barriers`: whether the kernel has any, else threads run one after the other without a stack of their own.
static void run_block(Block& block, char* stacks, EmuIndex at, EmuIndex dim, EmuIndex grid, bool barriers) {
    running = &block;
    for (unsigned t = 0; t < block.fibers.size(); t++) {
        Fiber& fiber = block.fibers[t];
        fiber.thread = {{t % dim.x, t / dim.x % dim.y, t / (dim.x * dim.y)}, at, dim, grid, (int)(t % 32)};
        if (barriers) {
            prepare(fiber, stacks, t);
        } else {
            block.current = &fiber;
            block.kernel(block.arguments);
        }
    }
    if (barriers) run_fibers(block);
    running = nullptr;
}
