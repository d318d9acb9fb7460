/* Texts of unknown bytes (paths, what files and models say), numbers and words as JSON. */
#ifndef TEXT_TEXT_JSON_H
#define TEXT_TEXT_JSON_H

#include "text/words.h"

#include <jansson.h>

json_t *text_json(const char *text);       /* what is not UTF-8 becomes U+FFFD */
json_t *number_json(double value);         /* to four places; null where it is not finite */
json_t *words_json(const struct words *w); /* [{"word", "start", "end", "confidence"}, ..] */

#endif
