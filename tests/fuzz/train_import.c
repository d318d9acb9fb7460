/* Any bytes as the text beside a clip or as a line of labels: the first byte says which. What comes
   out must be fit for a manifest. */
#include "text/normalize.h"
#include "train/import_text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, bool word)
{
    size_t n = strlen(text);
    if (!n || n > IMPORT_MAX_TEXT || normalize_valid(text, n) != n || (word && strchr(text, ' ')))
        abort();
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            abort();
}

static void check(struct spoken *t, const char *fault)
{
    int32_t last = 0;
    if (!fault != (t->text != NULL) || (fault && t->word_count))
        abort();
    if (!fault)
        check_text(t->text, false);
    for (int32_t i = 0; i < t->word_count; i++) {
        check_text(t->words[i].text, true);
        if (t->words[i].start_ms < last || t->words[i].end_ms < t->words[i].start_ms)
            abort();
        last = t->words[i].start_ms;
    }
    spoken_timed(t);
    spoken_release(t);
}

static void check_line(const char *line, size_t length)
{
    struct label_line l;
    struct spoken t = {0};
    if (!label_line_read(&l, line, length))
        return;
    if (l.dataset != line || l.path < line || l.path + l.path_length > line + length ||
        !l.path_length || (l.text && l.text + l.text_length > line + length))
        abort();
    if (l.text)
        check(&t, spoken_quoted(&t, l.text, l.text_length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct spoken t;
    if (!size)
        return 0;
    const char *bytes = (const char *)data + 1;
    size--;
    switch (data[0] % 5) {
    case 0:
        check(&t, spoken_plain(&t, bytes, size));
        break;
    case 1:
        check(&t, spoken_lrs(&t, bytes, size));
        break;
    case 2:
        check(&t, spoken_grid(&t, bytes, size));
        break;
    case 3:
        check(&t, spoken_sentence(&t, bytes, size));
        break;
    default:
        check_line(bytes, size);
    }
    return 0;
}
