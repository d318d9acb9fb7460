#include "text/text_json.h"
#include "base/strbuf.h"
#include "text/normalize.h"

#include <math.h>
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

json_t *number_json(double value)
{
    return isfinite(value) ? json_real(round(1e4 * value) / 1e4) : json_null();
}

json_t *words_json(const struct words *w)
{
    json_t *list = json_array();
    for (int i = 0; i < w->count; i++) {
        const struct word *word = &w->list[i];
        json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o}", "word", text_json(word->text),
                                              "start", number_json(word->start), "end",
                                              number_json(word->end), "confidence",
                                              number_json(word->confidence)));
    }
    return list;
}
