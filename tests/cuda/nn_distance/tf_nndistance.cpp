// Distance of each point to the nearest of the other cloud, as point-set generators of 2017 had it.
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

using namespace tensorflow;

REGISTER_OP("NnDistance")
    .Input("xyz1: float32")
    .Input("xyz2: float32")
    .Output("dist1: float32")
    .Output("idx1: int32")
    .SetShapeFn([](::tensorflow::shape_inference::InferenceContext* c) {
      shape_inference::ShapeHandle cloud = c->MakeShape({c->Dim(c->input(0), 0), c->Dim(c->input(0), 1)});
      c->set_output(0, cloud);
      c->set_output(1, cloud);
      return Status::OK();
    });

static void nnsearch(int b, int n, int m, const float* xyz1, const float* xyz2, float* dist, int* idx) {
  for (int i = 0; i < b; i++) {
    for (int j = 0; j < n; j++) {
      const float* p = xyz1 + (i * n + j) * 3;
      float best = 0;
      int besti = 0;
      for (int k = 0; k < m; k++) {
        const float* q = xyz2 + (i * m + k) * 3;
        float d = (p[0] - q[0]) * (p[0] - q[0]) + (p[1] - q[1]) * (p[1] - q[1]) + (p[2] - q[2]) * (p[2] - q[2]);
        if (k == 0 || d < best) best = d, besti = k;
      }
      dist[i * n + j] = best;
      idx[i * n + j] = besti;
    }
  }
}

class NnDistanceBase : public OpKernel {
 public:
  explicit NnDistanceBase(OpKernelConstruction* context) : OpKernel(context) {}
  void Compute(OpKernelContext* context) override {
    const Tensor& one = context->input(0);
    const Tensor& two = context->input(1);
    OP_REQUIRES(context, one.dims() == 3 && one.dim_size(2) == 3,
                errors::InvalidArgument("NnDistance requires xyz1 be of shape (batch,#points,3)"));
    Tensor *dist = nullptr, *idx = nullptr;
    TensorShape shape({one.dim_size(0), one.dim_size(1)});
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &dist));
    OP_REQUIRES_OK(context, context->allocate_output(1, shape, &idx));
    Search(one.dim_size(0), one.dim_size(1), two.dim_size(1), &one.flat<float>()(0), &two.flat<float>()(0),
           &dist->flat<float>()(0), &idx->flat<int>()(0));
  }
  virtual void Search(int b, int n, int m, const float* xyz1, const float* xyz2, float* dist, int* idx) = 0;
};

#ifndef GPU_ONLY
class NnDistanceOp : public NnDistanceBase {
 public:
  using NnDistanceBase::NnDistanceBase;
  void Search(int b, int n, int m, const float* xyz1, const float* xyz2, float* dist, int* idx) override {
    nnsearch(b, n, m, xyz1, xyz2, dist, idx);
  }
};
REGISTER_KERNEL_BUILDER(Name("NnDistance").Device(DEVICE_CPU), NnDistanceOp);
#endif

#if !defined(GUARDED) || GOOGLE_CUDA
void NmDistanceKernelLauncher(int b, int n, const float* xyz, int m, const float* xyz2, float* result, int* result_i);
class NnDistanceGpuOp : public NnDistanceBase {
 public:
  using NnDistanceBase::NnDistanceBase;
  void Search(int b, int n, int m, const float* xyz1, const float* xyz2, float* dist, int* idx) override {
    NmDistanceKernelLauncher(b, n, xyz1, m, xyz2, dist, idx);
  }
};
REGISTER_KERNEL_BUILDER(Name("NnDistance").Device(DEVICE_GPU), NnDistanceGpuOp);
#endif
