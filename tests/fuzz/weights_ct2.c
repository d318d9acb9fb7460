#include "touch_weights.h"
#include "weights/ct2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return touch_weights(ct2_read, data, size);
}
