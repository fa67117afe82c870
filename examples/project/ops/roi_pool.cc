// RoiPool: the greatest feature inside each region of interest. A custom op as written since TensorFlow 1.x;
// compiles against every release from 1.15 to 2.21.
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

#include "roi_helper.h"

namespace {

using ::tensorflow::DEVICE_CPU;
using ::tensorflow::OpKernel;
using ::tensorflow::OpKernelConstruction;
using ::tensorflow::OpKernelContext;
using ::tensorflow::Tensor;

REGISTER_OP("RoiPool")
    .Input("features: float")
    .Input("rois: int32")
    .Output("pooled: float")
    .SetShapeFn([](::tensorflow::shape_inference::InferenceContext* c) {
      c->set_output(0, c->Vector(c->Dim(c->input(1), 0)));
      return ::tensorflow::Status();
    })
    .Doc("pooled[i] is the maximum of features[top:bottom, left:right] for rois[i] = (top, left, bottom, right).");

class RoiPoolOp : public OpKernel {
 public:
  explicit RoiPoolOp(OpKernelConstruction* construction) : OpKernel(construction) {}

  void Compute(OpKernelContext* context) override {
    const Tensor& features = context->input(0);
    const Tensor& rois = context->input(1);
    OP_REQUIRES(context, features.dims() == 2, ::tensorflow::errors::InvalidArgument("features must be a matrix"));
    OP_REQUIRES(context, rois.dims() == 2 && rois.dim_size(1) == 4,
                ::tensorflow::errors::InvalidArgument("rois must have four columns"));
    Tensor* pooled = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, {rois.dim_size(0)}, &pooled));
    for (int i = 0; i < rois.dim_size(0); ++i) {
      pooled->flat<float>()(i) =
          roi_maximum(features.flat<float>().data(), static_cast<int>(features.dim_size(0)),
                      static_cast<int>(features.dim_size(1)), rois.flat<int>().data() + 4 * i);
    }
  }
};

REGISTER_KERNEL_BUILDER(Name("RoiPool").Device(DEVICE_CPU), RoiPoolOp);

}  // namespace
