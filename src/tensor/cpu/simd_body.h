/*
 * Every vectorised kernel, compiled once per instruction set. The file that includes this one says
 *
 *     SIMD_TABLE     the name of the `struct simd` to define
 *     LANES, vec     floats in a vector, its type
 *     vec_load, vec_store, vec_set, vec_fma, vec_max, vec_sum
 *     HAS_BF16       whether there are AVX-512 BF16 instructions
 *     HAS_PAIRS      whether sums of two products of bytes come in 16 bits (AVX2)
 *
 * Loops over rows and numbers are C that the compiler vectorises (`omp simd`); only
 * tile products and dot products name vectors. Threads come in above PARALLEL_LIMIT numbers.
 */
#include "tensor/cpu/simd_math.h"
#include "tensor/cpu/simd_elementwise.h"
#include "tensor/cpu/simd_norm.h"
#include "tensor/cpu/simd_rows.h"
#include "tensor/cpu/simd_ctc.h"
#include "tensor/cpu/simd_tile.h"
#include "tensor/cpu/simd_dots.h"
#include "tensor/cpu/simd_dequantise.h"
#include "tensor/cpu/simd_panels.h"
#include "tensor/cpu/simd_stored.h"
#include "tensor/cpu/simd_direct.h"
#include "tensor/cpu/simd_attention.h"
#include "tensor/cpu/simd_attention_cached.h"

const struct simd SIMD_TABLE = {
    .device =
        {
            .name = "cpu",
            .attention = attention,
            .attention_cached = attention_cached,
            .attention_backward = attention_backward,
            .layer_norm = layer_norm,
            .layer_norm_backward = layer_norm_backward,
            .rms_norm = rms_norm,
            .rms_norm_backward = rms_norm_backward,
            .column_moments = column_moments,
            .column_norm = column_norm,
            .column_norm_backward = column_norm_backward,
            .relu = relu,
            .relu_backward = relu_backward,
            .gelu = gelu,
            .gelu_backward = gelu_backward,
            .prelu = prelu,
            .prelu_backward = prelu_backward,
            .swiglu = swiglu,
            .swiglu_backward = swiglu_backward,
            .add = add,
            .add_scaled = add_scaled,
            .scale = scale,
            .multiply_add = multiply_add,
            .add_periodic = add_periodic,
            .add_periodic_backward = add_periodic_backward,
            .rope = rope,
            .gather_rows = gather_rows,
            .scatter_add_rows = scatter_add_rows,
            .copy_columns = copy_columns,
            .pool_rows = pool_rows,
            .pool_rows_backward = pool_rows_backward,
            .max_pool = max_pool,
            .max_pool_backward = max_pool_backward,
            .softmax = softmax,
            .softmax_backward = softmax_backward,
            .top_k = top_k,
            .top_k_backward = top_k_backward,
            .gate_experts = gate_experts,
            .gate_experts_backward = gate_experts_backward,
            .adamw = adamw,
            .fill = fill,
            .cross_entropy = cross_entropy,
            .ctc = ctc,
            .sum_of_squares = sum_of_squares,
        },
    .to_bf16 = to_bf16,
    .few_rows = few_rows,
#if HAS_BF16
    .panels_bytes = panels_bytes,
    .panels_fill = panels_fill,
    .panels_product = panels_product,
    .panels_add = panels_add,
#endif
    .dequantise = dequantise,
    .few_rows_stored = few_rows_stored,
    .linear_rounded = linear_rounded,
    .direct_bytes = direct_bytes,
    .direct_fill = direct_fill,
    .convolution_end = convolution_end,
    .direct_convolution = direct_convolution,
    .direct_backward_input = direct_backward_input,
    .direct_backward_weight = direct_backward_weight,
};
