#include "text/text_json.h"
#include "base/strbuf.h"
#include "text/normalize.h"

#include <string.h>

json_t *text_json(const char *text)
{
    struct strbuf valid;
    strbuf_init(&valid, 1 << 24);
    normalize_utf8(&valid, text, strlen(text));
    json_t *json = json_string(valid.data);
    strbuf_release(&valid);
    return json;
}
