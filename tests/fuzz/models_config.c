/* config.json: any bytes give a configuration that passes its own check, or one error line; what
   was accepted is written and read again to the same text. */
#include "base/memory.h"
#include "models/config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct recognizer_config config, again;
    struct error err = {0};
    char *text = memory_new(size + 1, 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    if (config_from_json(&config, text, "config.json", &err) != 0) {
        if (!err.message[0] || !strstr(err.message, "config.json"))
            abort();
        memory_free(text);
        return 0;
    }
    char *first = config_to_json(&config), *second = NULL;
    if (config_from_json(&again, first, "config.json", &err) != 0)
        abort();
    second = config_to_json(&again);
    if (strcmp(first, second) != 0)
        abort();
    memory_free(first);
    memory_free(second);
    memory_free(text);
    return 0;
}
