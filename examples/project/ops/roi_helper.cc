// Plain C++ without TensorFlow: the part that the op library links with as libroi_helper.so.
#include "roi_helper.h"

#include <algorithm>

namespace {
int calls = 0;
}  // namespace

extern "C" float roi_maximum(const float* features, int rows, int columns, const int* roi) {
  ++calls;
  const int top = std::max(roi[0], 0), left = std::max(roi[1], 0);
  const int bottom = std::min(roi[2], rows), right = std::min(roi[3], columns);
  if (top >= bottom || left >= right) return 0;
  float greatest = features[top * columns + left];
  for (int row = top; row < bottom; ++row) {
    for (int column = left; column < right; ++column) {
      greatest = std::max(greatest, features[row * columns + column]);
    }
  }
  return greatest;
}

extern "C" int roi_calls(void) { return calls; }
