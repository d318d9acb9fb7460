/* Which instruction set: the CPU is asked each time, which costs a few loads. */
#include "tensor/cpu/simd.h"

bool simd_supported(const struct simd *s)
{
    if (s == &simd_generic)
        return true;
    if (s == &simd_avx2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni");
}

const char *simd_name(const struct simd *s)
{
    return s == &simd_avx512 ? "AVX-512 with BF16 and VNNI" : s == &simd_avx2 ? "AVX2" : "plain C";
}

const struct simd *simd_best(void)
{
    return simd_supported(&simd_avx512) ? &simd_avx512
           : simd_supported(&simd_avx2) ? &simd_avx2
                                        : &simd_generic;
}
