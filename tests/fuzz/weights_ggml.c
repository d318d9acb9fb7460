#include "touch_weights.h"
#include "weights/ggml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return touch_weights(ggml_read, data, size);
}
