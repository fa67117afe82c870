/* Furthest point sampling and gathering, after the point cloud networks of 2017: CPU kernels. */
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include <cmath>
#include <cstring>
#include <vector>

using namespace tensorflow;

REGISTER_OP("FarthestPointSample")
  .Attr("npoint: int")
  .Input("inp: float32")
  .Output("out: int32")
  .SetShapeFn([](::tensorflow::shape_inference::InferenceContext* c) {
    ::tensorflow::shape_inference::ShapeHandle dims1; // batch_size * npoint * 3
    c->WithRank(c->input(0), 3, &dims1);
    int npoint;
    TF_RETURN_IF_ERROR(c->GetAttr("npoint", &npoint));
    ::tensorflow::shape_inference::ShapeHandle output = c->MakeShape({c->Dim(dims1, 0), npoint});
    c->set_output(0, output);
    return Status::OK();
  });
REGISTER_OP("GatherPoint")
  .Input("inp: float32")
  .Input("idx: int32")
  .Output("out: float32")
  .SetShapeFn([](::tensorflow::shape_inference::InferenceContext* c) {
    ::tensorflow::shape_inference::ShapeHandle dims1; // batch_size * ndataset * 3
    c->WithRank(c->input(0), 3, &dims1);
    ::tensorflow::shape_inference::ShapeHandle dims2; // batch_size * npoints
    c->WithRank(c->input(1), 2, &dims2);
    ::tensorflow::shape_inference::ShapeHandle output =
        c->MakeShape({c->Dim(dims1, 0), c->Dim(dims2, 1), c->Dim(dims1, 2)});
    c->set_output(0, output);
    return Status::OK();
  });

class FarthestPointSampleOp : public OpKernel {
  public:
    explicit FarthestPointSampleOp(OpKernelConstruction* context) : OpKernel(context) {
      OP_REQUIRES_OK(context, context->GetAttr("npoint", &npoint_));
      OP_REQUIRES(context, npoint_ > 0,
                  errors::InvalidArgument("FarthestPointSample expects positive npoint"));
    }
    void Compute(OpKernelContext * context) override {
      int m = npoint_;
      const Tensor& inp_tensor = context->input(0);
      OP_REQUIRES(context, inp_tensor.dims() == 3 && inp_tensor.shape().dim_size(2) == 3,
                  errors::InvalidArgument("FarthestPointSample expects (batch_size,num_points,3) inp shape"));
      int b = inp_tensor.shape().dim_size(0);
      int n = inp_tensor.shape().dim_size(1);
      auto inp_flat = inp_tensor.flat<float>();
      const float * inp = &(inp_flat(0));
      Tensor * out_tensor;
      OP_REQUIRES_OK(context, context->allocate_output(0, TensorShape{b, m}, &out_tensor));
      auto out_flat = out_tensor->flat<int>();
      int * out = &(out_flat(0));
      Tensor temp_tensor;
      OP_REQUIRES_OK(context, context->allocate_temp(DataTypeToEnum<float>::value, TensorShape{1, n}, &temp_tensor));
      auto temp_flat = temp_tensor.flat<float>();
      float * temp = &(temp_flat(0));
      for (int i = 0; i < b; i++) {
        for (int j = 0; j < n; j++) temp[j] = 1e38;
        const float * cloud = inp + i * n * 3;
        int old = 0;
        out[i * m] = old;
        for (int k = 1; k < m; k++) {
          int besti = 0;
          float best = -1;
          for (int j = 0; j < n; j++) {
            float dx = cloud[j * 3] - cloud[old * 3];
            float dy = cloud[j * 3 + 1] - cloud[old * 3 + 1];
            float dz = cloud[j * 3 + 2] - cloud[old * 3 + 2];
            float d = dx * dx + dy * dy + dz * dz;
            float d2 = std::min(d, temp[j]);
            temp[j] = d2;
            if (d2 > best) { best = d2; besti = j; }
          }
          old = besti;
          out[i * m + k] = old;
        }
      }
    }
  private:
    int npoint_;
};
REGISTER_KERNEL_BUILDER(Name("FarthestPointSample").Device(DEVICE_CPU), FarthestPointSampleOp);

class GatherPointOp : public OpKernel {
  public:
    explicit GatherPointOp(OpKernelConstruction * context) : OpKernel(context) {}
    void Compute(OpKernelContext * context) override {
      const Tensor& inp_tensor = context->input(0);
      OP_REQUIRES(context, inp_tensor.dims() == 3 && inp_tensor.shape().dim_size(2) == 3,
                  errors::InvalidArgument("GatherPoint expects (batch_size,num_points,3) inp shape"));
      int b = inp_tensor.shape().dim_size(0);
      int n = inp_tensor.shape().dim_size(1);
      const Tensor& idx_tensor = context->input(1);
      OP_REQUIRES(context, idx_tensor.dims() == 2 && idx_tensor.shape().dim_size(0) == b,
                  errors::InvalidArgument("GatherPoint expects (batch_size,num_result) idx shape"));
      int m = idx_tensor.shape().dim_size(1);
      auto inp = inp_tensor.tensor<float, 3>();
      auto idx = idx_tensor.matrix<int32>();
      Tensor * out_tensor = NULL;
      OP_REQUIRES_OK(context, context->allocate_output(0, TensorShape{b, m, 3}, &out_tensor));
      auto out = out_tensor->tensor<float, 3>();
      for (int i = 0; i < b; i++)
        for (int j = 0; j < m; j++) {
          int at = idx(i, j);
          OP_REQUIRES(context, at >= 0 && at < n, errors::OutOfRange("index ", at, " of ", n));
          for (int k = 0; k < 3; k++) out(i, j, k) = inp(i, at, k);
        }
    }
};
REGISTER_KERNEL_BUILDER(Name("GatherPoint").Device(DEVICE_CPU), GatherPointOp);
