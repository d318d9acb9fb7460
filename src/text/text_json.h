/* Texts of unknown bytes (paths, what files say) as JSON strings. */
#ifndef TEXT_TEXT_JSON_H
#define TEXT_TEXT_JSON_H

#include <jansson.h>

json_t *text_json(const char *text); /* what is not UTF-8 becomes U+FFFD */

#endif
