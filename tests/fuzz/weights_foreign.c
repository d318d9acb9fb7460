/* What is said of any bytes at all: a line of text, whatever they are. */
#include "weights/foreign.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[160] = "";
    foreign_describe(text, sizeof text, data, size);
    if (!text[0] || strlen(text) >= sizeof text)
        abort();
    return 0;
}
