// RoI max pooling as detectors of 2017 had it: features NHWC, rois (batch, x1, y1, x2, y2) in the image's pixels.
#include <stdio.h>
#include <cfloat>

#include "third_party/eigen3/unsupported/Eigen/CXX11/Tensor"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/register_types.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/framework/tensor_shape.h"
#include "tensorflow/core/util/work_sharder.h"

using namespace tensorflow;

typedef Eigen::ThreadPoolDevice CPUDevice;
typedef Eigen::GpuDevice GPUDevice;

REGISTER_OP("RoiPooling")
    .Attr("T: {float, double}")
    .Attr("pooled_height: int >= 1")
    .Attr("pooled_width: int >= 1")
    .Attr("spatial_scale: float")
    .Input("bottom_data: T")
    .Input("bottom_rois: T")
    .Output("top_data: T")
    .Output("argmax: int32")
    .SetShapeFn([](shape_inference::InferenceContext* c) {
      shape_inference::ShapeHandle data, rois;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 4, &data));
      TF_RETURN_IF_ERROR(c->WithRank(c->input(1), 2, &rois));
      int pooled_height, pooled_width;
      TF_RETURN_IF_ERROR(c->GetAttr("pooled_height", &pooled_height));
      TF_RETURN_IF_ERROR(c->GetAttr("pooled_width", &pooled_width));
      shape_inference::ShapeHandle out =
          c->MakeShape({c->Dim(rois, 0), pooled_height, pooled_width, c->Dim(data, 3)});
      c->set_output(0, out);
      c->set_output(1, out);
      return tensorflow::Status::OK();
    })
    .Doc(R"doc(Maximum of the features in each cell of each region, and where it was (-1 for an empty cell).)doc");

REGISTER_OP("RoiPoolingGrad")
    .Attr("T: {float, double}")
    .Input("bottom_data: T")
    .Input("argmax: int32")
    .Input("grad: T")
    .Output("output: T")
    .SetShapeFn(shape_inference::UnchangedShape);

template <typename Device, typename T>
class RoiPoolingOp : public OpKernel {
 public:
  explicit RoiPoolingOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("pooled_height", &pooled_height_));
    OP_REQUIRES_OK(context, context->GetAttr("pooled_width", &pooled_width_));
    OP_REQUIRES(context, pooled_width_ >= 1,
                errors::InvalidArgument("Need pooled_width >= 1, got ", pooled_width_));
    OP_REQUIRES_OK(context, context->GetAttr("spatial_scale", &spatial_scale_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& bottom_data = context->input(0);
    const Tensor& bottom_rois = context->input(1);
    auto bottom_data_flat = bottom_data.flat<T>();
    auto bottom_rois_flat = bottom_rois.flat<T>();

    OP_REQUIRES(context, bottom_data.dims() == 4, errors::InvalidArgument("data must be 4-dimensional"));
    OP_REQUIRES(context, bottom_rois.dims() == 2 && bottom_rois.dim_size(1) == 5,
                errors::InvalidArgument("rois must be of shape (n, 5), not ", bottom_rois.shape().DebugString()));

    int num_rois = bottom_rois.dim_size(0);
    int batch_size = bottom_data.dim_size(0);
    int data_height = bottom_data.dim_size(1);
    int data_width = bottom_data.dim_size(2);
    int num_channels = bottom_data.dim_size(3);

    int dims[4];
    dims[0] = num_rois;
    dims[1] = pooled_height_;
    dims[2] = pooled_width_;
    dims[3] = num_channels;
    TensorShape output_shape;
    OP_REQUIRES_OK(context, TensorShapeUtils::MakeShape(dims, 4, &output_shape));

    Tensor* output_tensor = NULL;
    OP_REQUIRES_OK(context, context->allocate_output(0, output_shape, &output_tensor));
    auto output = output_tensor->template flat<T>();
    Tensor* argmax_tensor = NULL;
    OP_REQUIRES_OK(context, context->allocate_output(1, output_shape, &argmax_tensor));
    auto argmax = argmax_tensor->template flat<int>();

    const int pooled_height = pooled_height_;
    const int pooled_width = pooled_width_;
    const float spatial_scale = spatial_scale_;

    auto shard = [pooled_height, pooled_width, spatial_scale, batch_size, data_height, data_width, num_channels,
                  &bottom_data_flat, &bottom_rois_flat, &output, &argmax](int64 start, int64 limit) {
      for (int64 b = start; b < limit; ++b) {
        int n = b;
        int c = n % num_channels;
        n /= num_channels;
        int pw = n % pooled_width;
        n /= pooled_width;
        int ph = n % pooled_height;
        n /= pooled_height;

        const T* rois = bottom_rois_flat.data() + n * 5;
        int roi_batch_ind = rois[0];
        int roi_start_w = round(rois[1] * spatial_scale);
        int roi_start_h = round(rois[2] * spatial_scale);
        int roi_end_w = round(rois[3] * spatial_scale);
        int roi_end_h = round(rois[4] * spatial_scale);

        int roi_width = std::max(roi_end_w - roi_start_w + 1, 1);
        int roi_height = std::max(roi_end_h - roi_start_h + 1, 1);
        const T bin_size_h = static_cast<T>(roi_height) / static_cast<T>(pooled_height);
        const T bin_size_w = static_cast<T>(roi_width) / static_cast<T>(pooled_width);

        int hstart = static_cast<int>(floor(ph * bin_size_h));
        int wstart = static_cast<int>(floor(pw * bin_size_w));
        int hend = static_cast<int>(ceil((ph + 1) * bin_size_h));
        int wend = static_cast<int>(ceil((pw + 1) * bin_size_w));

        hstart = std::min(std::max(hstart + roi_start_h, 0), data_height);
        hend = std::min(std::max(hend + roi_start_h, 0), data_height);
        wstart = std::min(std::max(wstart + roi_start_w, 0), data_width);
        wend = std::min(std::max(wend + roi_start_w, 0), data_width);
        bool is_empty = (hend <= hstart) || (wend <= wstart) || roi_batch_ind < 0 || roi_batch_ind >= batch_size;

        T maxval = is_empty ? 0 : -FLT_MAX;
        int maxidx = -1;
        const T* data = bottom_data_flat.data() + static_cast<int64>(is_empty ? 0 : roi_batch_ind) * num_channels *
                                                      data_height * data_width;
        if (!is_empty) {
          for (int h = hstart; h < hend; ++h) {
            for (int w = wstart; w < wend; ++w) {
              int bottom_index = (h * data_width + w) * num_channels + c;
              if (data[bottom_index] > maxval) {
                maxval = data[bottom_index];
                maxidx = roi_batch_ind * num_channels * data_height * data_width + bottom_index;
              }
            }
          }
        }
        output(b) = maxval;
        argmax(b) = maxidx;
      }
    };
    const DeviceBase::CpuWorkerThreads& worker_threads = *(context->device()->tensorflow_cpu_worker_threads());
    const int64 shard_cost = num_rois * num_channels * pooled_height * pooled_width * spatial_scale;
    Shard(worker_threads.num_threads, worker_threads.workers, output.size(), shard_cost, shard);
  }

 private:
  int pooled_height_;
  int pooled_width_;
  float spatial_scale_;
};

template <class Device, class T>
class RoiPoolingGradOp : public OpKernel {
 public:
  explicit RoiPoolingGradOp(OpKernelConstruction* context) : OpKernel(context) {}

  void Compute(OpKernelContext* context) override {
    const Tensor& bottom_data = context->input(0);
    const Tensor& argmax_data = context->input(1);
    const Tensor& out_backprop = context->input(2);
    OP_REQUIRES(context, argmax_data.shape() == out_backprop.shape(),
                errors::InvalidArgument("argmax and grad differ in shape"));
    Tensor* output = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, bottom_data.shape(), &output));
    typename TTypes<T>::Flat bottom_diff = output->flat<T>();
    bottom_diff.setZero();
    auto argmax = argmax_data.flat<int>();
    auto grad = out_backprop.flat<T>();
    for (int64 i = 0; i < grad.size(); ++i) {
      if (argmax(i) >= 0) bottom_diff(argmax(i)) += grad(i);
    }
  }
};

#define REGISTER_CPU(T)                                                                                       \
  REGISTER_KERNEL_BUILDER(Name("RoiPooling").Device(DEVICE_CPU).TypeConstraint<T>("T"), RoiPoolingOp<CPUDevice, T>); \
  REGISTER_KERNEL_BUILDER(Name("RoiPoolingGrad").Device(DEVICE_CPU).TypeConstraint<T>("T"),                   \
                          RoiPoolingGradOp<CPUDevice, T>);
TF_CALL_float(REGISTER_CPU);
TF_CALL_double(REGISTER_CPU);
#undef REGISTER_CPU

#if GOOGLE_CUDA
bool RoiPoolingForwardLauncher(const float* bottom_data, const float spatial_scale, const int num_rois,
                               const int height, const int width, const int channels, const int pooled_height,
                               const int pooled_width, const float* bottom_rois, float* top_data, int* argmax_data,
                               const Eigen::GpuDevice& d);

template <class T>
class RoiPoolingOp<GPUDevice, T> : public OpKernel {
 public:
  explicit RoiPoolingOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("pooled_height", &pooled_height_));
    OP_REQUIRES_OK(context, context->GetAttr("pooled_width", &pooled_width_));
    OP_REQUIRES_OK(context, context->GetAttr("spatial_scale", &spatial_scale_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& data = context->input(0);
    const Tensor& rois = context->input(1);
    TensorShape shape({rois.dim_size(0), pooled_height_, pooled_width_, data.dim_size(3)});
    Tensor *top, *argmax;
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &top));
    OP_REQUIRES_OK(context, context->allocate_output(1, shape, &argmax));
    RoiPoolingForwardLauncher(data.flat<T>().data(), spatial_scale_, rois.dim_size(0), data.dim_size(1),
                              data.dim_size(2), data.dim_size(3), pooled_height_, pooled_width_,
                              rois.flat<T>().data(), top->flat<T>().data(), argmax->flat<int>().data(),
                              context->eigen_device<Eigen::GpuDevice>());
  }

 private:
  int pooled_height_;
  int pooled_width_;
  float spatial_scale_;
};

REGISTER_KERNEL_BUILDER(Name("RoiPooling").Device(DEVICE_GPU).TypeConstraint<float>("T"),
                        RoiPoolingOp<Eigen::GpuDevice, float>);
#endif
