/*
 * The machine that this process runs on, as far as it decides how fast mome is: how much of the
 * processor it may use and what that can do, memory, who else computes. What Linux does not tell is
 * 0 or empty.
 *
 * Limits of control groups count, of version 1 and 2: of the process's group and all above it.
 */
#ifndef BASE_MACHINE_H
#define BASE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct machine {
    char processor[96];    /* the name that it gives itself */
    int threads;           /* that this process may run at once, by its affinity */
    int cores;             /* that those threads share; fewer than threads: hyper-threading */
    double quota;          /* processors' time that its control group may use; 0: no limit */
    double load;           /* programs that compute or wait for it, mean of a minute, all of them */
    int load_threads;      /* of the whole machine, which is what load is of */
    int64_t memory_bytes;  /* of the machine */
    int64_t memory_free;   /* bytes that could be had now, within the limit */
    int64_t memory_limit;  /* of its control group; 0: none */
    bool avx2, avx512;     /* avx2: with FMA; avx512: F, BW, DQ, VL */
    bool vnni, bf16;       /* products of 8 bits; of bfloat16 */
    const char *emulation; /* what stands between, "valgrind", "QEMU"; NULL: nothing known */
};

/* root: "" for this machine; else a folder to read proc/ and sys/ from, for tests. */
void machine_look(struct machine *m, const char *root);
/* The name alone that the processor gives itself; "": not known. */
void machine_processor(char *name, size_t size, const char *root);

/* Threads that are worth starting: no more than the quota pays for; at least one. */
int machine_useful_threads(const struct machine *m);

#endif
