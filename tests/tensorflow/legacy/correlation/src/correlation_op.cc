#define EIGEN_USE_THREADS

#include "correlation_kernel.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/register_types.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/lib/core/errors.h"
#include "tensorflow/core/platform/logging.h"

namespace tensorflow {

typedef Eigen::ThreadPoolDevice CPUDevice;

using shape_inference::DimensionHandle;
using shape_inference::InferenceContext;
using shape_inference::ShapeHandle;

template <typename Context>
Status ReadState(Context* context, functor::CorrelationState* state) {
  TF_RETURN_IF_ERROR(context->GetAttr("pad", &state->pad));
  TF_RETURN_IF_ERROR(context->GetAttr("max_displacement", &state->max_displacement));
  TF_RETURN_IF_ERROR(context->GetAttr("stride_1", &state->stride_1));
  TF_RETURN_IF_ERROR(context->GetAttr("stride_2", &state->stride_2));
  if (state->stride_1 <= 0 || state->stride_2 <= 0) {
    return errors::InvalidArgument("strides must be positive: ", state->stride_1, ", ", state->stride_2);
  }
  return Status::OK();
}

Status CorrelationShapeFn(InferenceContext* c) {
  ShapeHandle a, b;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 4, &a));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(1), 4, &b));
  functor::CorrelationState state;
  TF_RETURN_IF_ERROR(ReadState(c, &state));
  DimensionHandle height = c->Dim(a, 1), width = c->Dim(a, 2);
  if (!c->ValueKnown(height) || !c->ValueKnown(width)) {
    c->set_output(0, c->UnknownShapeOfRank(4));
    return Status::OK();
  }
  if (!functor::MakeCorrelationState(c->Value(height), c->Value(width), &state)) {
    return errors::InvalidArgument("Neighborhood and kernel don't fit in input size");
  }
  c->set_output(0, c->MakeShape({c->Dim(a, 0), c->MakeDim(state.out_height), c->MakeDim(state.out_width),
                                 c->MakeDim(state.grid_width * state.grid_width)}));
  return Status::OK();
}

REGISTER_OP("Correlation")
    .Input("input_a: float32")
    .Input("input_b: float32")
    .Attr("max_displacement: int = 4")
    .Attr("stride_1: int = 1")
    .Attr("stride_2: int = 2")
    .Attr("pad: int = 4")
    .Output("output: float32")
    .SetShapeFn(CorrelationShapeFn);

template <typename Device>
class CorrelationOp : public OpKernel {
 public:
  explicit CorrelationOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, ReadState(context, &state_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor *input_a, *input_b;
    OP_REQUIRES_OK(context, context->input("input_a", &input_a));
    OP_REQUIRES_OK(context, context->input("input_b", &input_b));
    OP_REQUIRES(context, input_a->shape().IsSameSize(input_b->shape()),
                errors::InvalidArgument("Input shapes have to be the same: ", input_a->shape().DebugString(), " and ",
                                        input_b->shape().DebugString()));
    OP_REQUIRES(context, input_a->dims() == 4, errors::InvalidArgument("Inputs must be 4-D"));
    functor::CorrelationState state = state_;
    OP_REQUIRES(context, functor::MakeCorrelationState(input_a->dim_size(1), input_a->dim_size(2), &state),
                errors::InvalidArgument("Neighborhood and kernel don't fit in input size"));
    Tensor* output = nullptr;
    TensorShape shape({input_a->dim_size(0), state.out_height, state.out_width, state.grid_width * state.grid_width});
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &output));
    VLOG(1) << "correlation of " << input_a->shape().DebugString();
    functor::Correlation<Device>()(context->eigen_device<Device>(), state, input_a->tensor<float, 4>(),
                                   input_b->tensor<float, 4>(), output->tensor<float, 4>());
  }

 private:
  functor::CorrelationState state_;
};

REGISTER_KERNEL_BUILDER(Name("Correlation").Device(DEVICE_CPU), CorrelationOp<CPUDevice>);

}  // end namespace tensorflow
