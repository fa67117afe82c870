#define EIGEN_USE_THREADS

#include "correlation_kernel.h"

#include <cmath>

namespace tensorflow {
namespace functor {

bool MakeCorrelationState(int64 height, int64 width, CorrelationState* state) {
  state->grid_radius = state->max_displacement / state->stride_2;
  state->grid_width = state->grid_radius * 2 + 1;
  const int64 border = state->max_displacement;
  state->out_height = std::ceil(static_cast<float>(height + 2 * state->pad - 2 * border) / state->stride_1);
  state->out_width = std::ceil(static_cast<float>(width + 2 * state->pad - 2 * border) / state->stride_1);
  return state->out_height > 0 && state->out_width > 0;
}

template <>
void Correlation<Eigen::ThreadPoolDevice>::operator()(const Eigen::ThreadPoolDevice& device,
                                                      const CorrelationState& state,
                                                      typename TTypes<float, 4>::ConstTensor a,
                                                      typename TTypes<float, 4>::ConstTensor b,
                                                      typename TTypes<float, 4>::Tensor out) {
  out.device(device) = out.constant(0.0f);
  const int64 height = a.dimension(1), width = a.dimension(2), channels = a.dimension(3);
  for (int64 n = 0; n < a.dimension(0); ++n)
    for (int y = 0; y < state.out_height; ++y)
      for (int x = 0; x < state.out_width; ++x) {
        const int64 y1 = y * state.stride_1 + state.max_displacement - state.pad;
        const int64 x1 = x * state.stride_1 + state.max_displacement - state.pad;
        if (y1 < 0 || y1 >= height || x1 < 0 || x1 >= width) continue;
        for (int place = 0; place < state.grid_width * state.grid_width; ++place) {
          const int64 y2 = y1 + (place / state.grid_width - state.grid_radius) * state.stride_2;
          const int64 x2 = x1 + (place % state.grid_width - state.grid_radius) * state.stride_2;
          if (y2 < 0 || y2 >= height || x2 < 0 || x2 >= width) continue;
          float sum = 0;
          for (int64 c = 0; c < channels; ++c) sum += a(n, y1, x1, c) * b(n, y2, x2, c);
          out(n, y, x, place) = sum / channels;
        }
      }
}

}  // namespace functor
}  // namespace tensorflow
