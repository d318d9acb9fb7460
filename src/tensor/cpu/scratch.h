/*
 * Scratch memory of the CPU kernels: a small pool of 64-byte aligned blocks that only grow and are
 * reused, because asking the system for megabytes at each call costs a page fault per 4 KiB.
 * Thread-safe. A block belongs to its taker until it is given back; contents are undefined.
 * The pool is writable state of the device (device.h allows caches), behind a mutex.
 */
#ifndef TENSOR_CPU_SCRATCH_H
#define TENSOR_CPU_SCRATCH_H

#include <stddef.h>

void *scratch_take(size_t bytes);
void scratch_give(void *p);

#endif
