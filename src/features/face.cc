/*
 * The only file that sees dlib (Debian's libdlib-dev, Boost licence). Nothing of dlib leaves it:
 * pictures come in as views of gray bytes, exceptions are turned into messages at the boundary.
 *
 * Detection: HOG of 8x8 cells over a pyramid of 5/6 steps, five linear filters of 80x80 pixels
 * (Dalal, Triggs 2005), so time grows with the pixels looked at: pictures are first brought to a
 * size at which a talking face is well above 80 pixels. Landmarks: 15 rounds of 500 regression
 * trees that look at pixel differences; their time does not depend on the picture's size.
 */
extern "C" {
#include "base/error.h"
}
#include "features/face.h"

#include <dlib/image_processing.h>
#include <dlib/image_processing/frontal_face_detector.h>
#include <dlib/image_transforms.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace
{

const char *const default_landmarks = "/usr/share/dlib/shape_predictor_68_face_landmarks.dat";
const int large_side = 640;   /* longer side at which whole pictures are searched first */
const int second_side = 1280; /* and at most, where that finds nothing */

using pixels = dlib::array2d<unsigned char>;

/* dlib's generic image interface over the caller's bytes, read-only */
struct view {
    gray_picture picture;
};
inline long num_rows(const view &v)
{
    return v.picture.height;
}
inline long num_columns(const view &v)
{
    return v.picture.width;
}
inline const void *image_data(const view &v)
{
    return v.picture.data;
}
inline long width_step(const view &v)
{
    return v.picture.stride;
}

} // namespace

namespace dlib
{
template <> struct image_traits<view> {
    typedef unsigned char pixel_type;
};
template <> struct image_traits<const view> {
    typedef unsigned char pixel_type;
};
} // namespace dlib

struct face_finder {
    std::string path;
    std::mutex
        lock; /* over detector, whose scanner holds the last picture's features, and loading */
    dlib::frontal_face_detector detector;
    std::unique_ptr<const dlib::shape_predictor> predictor;
};

namespace
{

/* Runs body, which may throw; what it throws becomes one message. */
template <typename Body> int guarded(struct error *err, const char *doing, Body body)
{
    try {
        return body();
    } catch (const std::bad_alloc &) {
        return error_set(err, ERROR_MEMORY, "out of memory while %s", doing);
    } catch (const std::exception &e) {
        return error_set(err, ERROR_FORMAT, "%s: %s", doing, e.what());
    }
}

/* Means of k x k blocks: shrinking by 2 and more must not skip pixels. */
void shrink(pixels &out, const gray_picture &in, int k)
{
    out.set_size(in.height / k, in.width / k);
    for (long y = 0; y < out.nr(); y++)
        for (long x = 0; x < out.nc(); x++) {
            unsigned sum = 0;
            for (int i = 0; i < k; i++)
                for (int j = 0; j < k; j++)
                    sum += in.data[(y * k + i) * in.stride + x * k + j];
            out[y][x] = static_cast<unsigned char>(sum / (k * k));
        }
}

/* The picture with its longer side scaled to `side` pixels. */
void scale_to(pixels &out, const gray_picture &in, int side)
{
    const double scale = static_cast<double>(side) / std::max(in.width, in.height);
    const int k = std::max(1, static_cast<int>(1 / scale));
    pixels whole;
    shrink(whole, in, k);
    out.set_size(std::max(1L, std::lround(in.height * scale)),
                 std::max(1L, std::lround(in.width * scale)));
    if (out.nr() == whole.nr() && out.nc() == whole.nc())
        out.swap(whole);
    else
        dlib::resize_image(whole, out, dlib::interpolate_bilinear());
}

int detect(face_finder *f, const gray_picture &picture, int side, face_box *boxes, int max)
{
    pixels scaled;
    scale_to(scaled, picture, side);
    std::vector<dlib::rect_detection> found;
    {
        std::lock_guard<std::mutex> hold(f->lock);
        f->detector(scaled, found);
    }
    const float sx = static_cast<float>(picture.width) / scaled.nc();
    const float sy = static_cast<float>(picture.height) / scaled.nr();
    int count = 0;
    for (const auto &face : found) { /* dlib gives them best first */
        if (count == max)
            break;
        /* dlib's rectangles include their right and bottom pixels */
        boxes[count++] = {
            (face.rect.left() + 0.5f) * sx - 0.5f, (face.rect.top() + 0.5f) * sy - 0.5f,
            (face.rect.right() + 0.5f) * sx - 0.5f, (face.rect.bottom() + 0.5f) * sy - 0.5f,
            static_cast<float>(face.detection_confidence)};
    }
    return count;
}

bool holds_pixels(const gray_picture &p)
{
    return p.data && p.width > 0 && p.height > 0 && p.stride >= p.width;
}

int load_predictor(face_finder *f, struct error *err)
{
    std::lock_guard<std::mutex> hold(f->lock);
    if (f->predictor)
        return 0;
    std::ifstream file(f->path, std::ios::binary);
    if (!file)
        return error_set(err, ERROR_IO,
                         "%s: cannot be opened: the face landmark file is missing (install "
                         "libdlib-data, or set MOME_LANDMARKS)",
                         f->path.c_str());
    auto loaded = std::make_unique<dlib::shape_predictor>();
    try {
        dlib::deserialize(*loaded, file);
    } catch (const dlib::serialization_error &) {
        return error_set(err, ERROR_FORMAT, "%s: is not a dlib landmark file", f->path.c_str());
    }
    if (loaded->num_parts() != FACE_LANDMARKS)
        return error_set(err, ERROR_FORMAT, "%s: has %lu landmarks, expected %d", f->path.c_str(),
                         loaded->num_parts(), FACE_LANDMARKS);
    f->predictor = std::move(loaded);
    return 0;
}

} // namespace

int face_finder_open(struct face_finder **f, struct error *err)
{
    *f = nullptr;
    return guarded(err, "opening the face finder", [&] {
        auto finder = std::make_unique<face_finder>();
        const char *path = std::getenv("MOME_LANDMARKS");
        finder->path = path && *path ? path : default_landmarks;
        finder->detector = dlib::get_frontal_face_detector();
        *f = finder.release();
        return 0;
    });
}

void face_finder_close(struct face_finder *f)
{
    delete f;
}

int face_detect_at(struct face_finder *f, struct gray_picture picture, int side,
                   struct face_box *boxes, int max, struct error *err)
{
    if (!holds_pixels(picture) || side < 1)
        return error_set(err, ERROR_USAGE, "face detection: the picture is empty");
    return guarded(err, "looking for a face", [&] { return detect(f, picture, side, boxes, max); });
}

int face_detect(struct face_finder *f, struct gray_picture picture, struct face_box *boxes, int max,
                struct error *err)
{
    const int longer = std::max(picture.width, picture.height);
    const int first = std::min(longer, large_side);
    const int found = face_detect_at(f, picture, first, boxes, max, err);
    if (found != 0)
        return found;
    return face_detect_at(f, picture, std::min(2 * first, second_side), boxes, max, err);
}

int face_landmarks(struct face_finder *f, float points[FACE_LANDMARKS][2],
                   struct gray_picture picture, const struct face_box *box, struct error *err)
{
    if (!holds_pixels(picture))
        return error_set(err, ERROR_USAGE, "face landmarks: the picture is empty");
    const int loaded = load_predictor(f, err);
    if (loaded < 0)
        return loaded;
    return guarded(err, "placing landmarks", [&] {
        const dlib::rectangle face(std::lround(box->left), std::lround(box->top),
                                   std::lround(box->right), std::lround(box->bottom));
        const dlib::full_object_detection shape = (*f->predictor)(view{picture}, face);
        for (int i = 0; i < FACE_LANDMARKS; i++) {
            points[i][0] = static_cast<float>(shape.part(i).x());
            points[i][1] = static_cast<float>(shape.part(i).y());
        }
        return 0;
    });
}
