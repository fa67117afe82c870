#ifndef FLOWNET_CORRELATION_KERNEL_H_
#define FLOWNET_CORRELATION_KERNEL_H_

#include "third_party/eigen3/unsupported/Eigen/CXX11/Tensor"
#include "tensorflow/core/framework/tensor_types.h"
#include "tensorflow/core/platform/types.h"

namespace tensorflow {
namespace functor {

struct CorrelationState {
  int pad, max_displacement, stride_1, stride_2, grid_radius, grid_width, out_height, out_width;
};

// Geometry of the output; false where nothing would be left of it.
bool MakeCorrelationState(int64 height, int64 width, CorrelationState* state);

template <typename Device>
struct Correlation {
  void operator()(const Device& device, const CorrelationState& state, typename TTypes<float, 4>::ConstTensor a,
                  typename TTypes<float, 4>::ConstTensor b, typename TTypes<float, 4>::Tensor out);
};

}  // namespace functor
}  // namespace tensorflow

#endif  // FLOWNET_CORRELATION_KERNEL_H_
