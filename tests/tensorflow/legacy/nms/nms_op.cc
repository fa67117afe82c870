#define EIGEN_USE_THREADS

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "third_party/eigen3/unsupported/Eigen/CXX11/Tensor"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/framework/types.h"
#include "tensorflow/core/lib/core/status.h"
#include "tensorflow/core/lib/strings/strcat.h"
#include "tensorflow/core/platform/logging.h"
#include "tensorflow/core/platform/mutex.h"

using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

REGISTER_OP("SoftNms")
    .Input("boxes: float")
    .Input("scores: float")
    .Attr("iou_threshold: float = 0.5")
    .Attr("score_threshold: float = 0.001")
    .Attr("sigma: float = 0.5")
    .Attr("method: {'hard', 'linear', 'gaussian'} = 'hard'")
    .Attr("max_output_size: int = 100")
    .Output("selected_indices: int32")
    .Output("selected_scores: float")
    .Output("num_selected: int64")
    .SetIsStateful()
    .SetShapeFn([](InferenceContext* c) {
      ShapeHandle boxes, scores;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 2, &boxes));
      TF_RETURN_IF_ERROR(c->WithRank(c->input(1), 1, &scores));
      tensorflow::shape_inference::DimensionHandle unused;
      TF_RETURN_IF_ERROR(c->Merge(c->Dim(boxes, 0), c->Dim(scores, 0), &unused));
      TF_RETURN_IF_ERROR(c->WithValue(c->Dim(boxes, 1), 4, &unused));
      c->set_output(0, c->Vector(InferenceContext::kUnknownDim));
      c->set_output(1, c->Vector(InferenceContext::kUnknownDim));
      c->set_output(2, c->Scalar());
      return tensorflow::Status::OK();
    });

namespace tensorflow {

typedef Eigen::ThreadPoolDevice CPUDevice;

namespace {

static inline Status CheckBoxes(const Tensor& boxes, const Tensor& scores, int64* num_boxes) {
  if (boxes.dims() != 2 || boxes.dim_size(1) != 4) {
    return errors::InvalidArgument("boxes must be of shape (n, 4), not ", boxes.shape().DebugString());
  }
  if (!TensorShapeUtils::IsVector(scores.shape())) {
    return Status(error::INVALID_ARGUMENT, strings::StrCat("scores must be a vector, not ", scores.shape().DebugString()));
  }
  *num_boxes = boxes.dim_size(0);
  if (scores.dim_size(0) != *num_boxes) {
    return errors::InvalidArgument("scores has incompatible shape");
  }
  return Status::OK();
}

static inline float IOU(TTypes<float, 2>::ConstTensor boxes, int i, int j) {
  const float area_i = (boxes(i, 2) - boxes(i, 0)) * (boxes(i, 3) - boxes(i, 1));
  const float area_j = (boxes(j, 2) - boxes(j, 0)) * (boxes(j, 3) - boxes(j, 1));
  if (area_i <= 0 || area_j <= 0) return 0.0;
  const float ymin = std::max<float>(boxes(i, 0), boxes(j, 0)), xmin = std::max<float>(boxes(i, 1), boxes(j, 1));
  const float ymax = std::min<float>(boxes(i, 2), boxes(j, 2)), xmax = std::min<float>(boxes(i, 3), boxes(j, 3));
  const float intersection = std::max<float>(ymax - ymin, 0.0) * std::max<float>(xmax - xmin, 0.0);
  return intersection / (area_i + area_j - intersection);
}

}  // namespace

class SoftNmsOp : public OpKernel {
 public:
  explicit SoftNmsOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("iou_threshold", &iou_threshold_));
    OP_REQUIRES_OK(context, context->GetAttr("score_threshold", &score_threshold_));
    OP_REQUIRES_OK(context, context->GetAttr("sigma", &sigma_));
    OP_REQUIRES_OK(context, context->GetAttr("max_output_size", &max_output_size_));
    string method;
    OP_REQUIRES_OK(context, context->GetAttr("method", &method));
    method_ = method == "hard" ? 0 : method == "linear" ? 1 : 2;
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& boxes_tensor = context->input(0);
    const Tensor& scores_tensor = context->input(1);
    int64 num_boxes = 0;
    Status status = CheckBoxes(boxes_tensor, scores_tensor, &num_boxes);
    if (!status.ok()) {
      VLOG(1) << status.error_message();
      context->SetStatus(status);
      return;
    }
    auto boxes = boxes_tensor.tensor<float, 2>();
    auto given = scores_tensor.vec<float>();
    std::vector<float> scores(given.data(), given.data() + num_boxes);
    std::vector<int32> left(num_boxes), selected;
    std::vector<float> selected_scores;
    std::iota(left.begin(), left.end(), 0);
    while (!left.empty() && selected.size() < static_cast<size_t>(max_output_size_)) {
      auto best = std::max_element(left.begin(), left.end(), [&scores](int32 i, int32 j) { return scores[i] < scores[j]; });
      const int32 i = *best;
      if (scores[i] < score_threshold_) break;
      left.erase(best);
      selected.push_back(i);
      selected_scores.push_back(scores[i]);
      for (int32 j : left) {
        const float iou = IOU(boxes, i, j);
        if (method_ == 0 && iou > iou_threshold_) scores[j] = -1;
        if (method_ == 1 && iou > iou_threshold_) scores[j] *= 1 - iou;
        if (method_ == 2) scores[j] *= std::exp(-iou * iou / sigma_);
      }
    }
    {
      mutex_lock lock(mu_);
      total_ += selected.size();
    }
    Tensor* output = nullptr;
    TensorShape output_shape({static_cast<int64>(selected.size())});
    OP_REQUIRES_OK(context, context->allocate_output("selected_indices", output_shape, &output));
    std::copy_n(selected.begin(), selected.size(), output->tensor<int32, 1>().data());
    OP_REQUIRES_OK(context, context->allocate_output("selected_scores", output_shape, &output));
    std::copy_n(selected_scores.begin(), selected_scores.size(), output->flat<float>().data());
    OP_REQUIRES_OK(context, context->allocate_output("num_selected", TensorShape(), &output));
    output->scalar<int64>()() = selected.size();
  }

 private:
  float iou_threshold_, score_threshold_, sigma_;
  int max_output_size_, method_;
  mutex mu_;
  int64 total_ GUARDED_BY(mu_) = 0;
};

REGISTER_KERNEL_BUILDER(Name("SoftNms").Device(DEVICE_CPU), SoftNmsOp);

}  // namespace tensorflow
