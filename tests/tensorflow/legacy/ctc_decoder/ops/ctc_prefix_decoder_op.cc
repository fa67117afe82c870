// CTC prefix beam search (Hannun et al., 2014), in the style of an op of TensorFlow 1.3.
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "beam.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/framework/types.h"
#include "tensorflow/core/lib/core/errors.h"
#include "tensorflow/core/lib/core/status.h"
#include "tensorflow/core/lib/core/stringpiece.h"
#include "tensorflow/core/lib/gtl/inlined_vector.h"
#include "tensorflow/core/lib/strings/str_util.h"
#include "tensorflow/core/platform/macros.h"

namespace tf = tensorflow;
using tf::int64;
using tf::shape_inference::DimensionHandle;
using tf::shape_inference::InferenceContext;
using tf::shape_inference::ShapeHandle;

REGISTER_OP("CtcPrefixDecoder")
    .Input("inputs: T")
    .Input("sequence_length: int32")
    .Input("alphabet: string")
    .Attr("T: {float, double} = DT_FLOAT")
    .Attr("beam_width: int >= 1")
    .Attr("top_paths: int >= 1")
    .Attr("merge_repeated: bool = true")
    .Output("decoded_indices: top_paths * int64")
    .Output("decoded_values: top_paths * int64")
    .Output("decoded_shape: top_paths * int64")
    .Output("log_probability: T")
    .Output("text: string")
    .SetShapeFn([](InferenceContext* c) {
      ShapeHandle inputs, sequence_length;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 3, &inputs));
      TF_RETURN_IF_ERROR(c->WithRank(c->input(1), 1, &sequence_length));
      // Get batch size from inputs and sequence_length.
      DimensionHandle batch_size;
      TF_RETURN_IF_ERROR(c->Merge(c->Dim(inputs, 1), c->Dim(sequence_length, 0), &batch_size));
      tf::int32 top_paths;
      TF_RETURN_IF_ERROR(c->GetAttr("top_paths", &top_paths));
      int out_idx = 0;
      for (int i = 0; i < top_paths; ++i) c->set_output(out_idx++, c->Matrix(InferenceContext::kUnknownDim, 2));
      for (int i = 0; i < top_paths; ++i) c->set_output(out_idx++, c->Vector(InferenceContext::kUnknownDim));
      ShapeHandle shape_v = c->Vector(2);
      for (int i = 0; i < top_paths; ++i) c->set_output(out_idx++, shape_v);
      c->set_output(out_idx++, c->Matrix(batch_size, top_paths));
      c->set_output(out_idx++, c->Vector(batch_size));
      return tf::Status::OK();
    })
    .Doc(R"doc(
The most probable labellings of each sequence. The last class is the blank.
)doc");

template <typename T>
class CtcPrefixDecoderOp : public tf::OpKernel {
 public:
  explicit CtcPrefixDecoderOp(tf::OpKernelConstruction* ctx) : tf::OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("beam_width", &beam_width_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("top_paths", &top_paths_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("merge_repeated", &merge_repeated_));
    OP_REQUIRES(ctx, top_paths_ <= beam_width_,
                tf::errors::InvalidArgument("top_paths ", top_paths_, " exceeds beam_width ", beam_width_));
  }

  void Compute(tf::OpKernelContext* ctx) override {
    const tf::Tensor* inputs;
    const tf::Tensor* seq_len;
    const tf::Tensor* alphabet;
    tf::Tensor* log_prob = nullptr;
    tf::Tensor* text = nullptr;
    tf::OpOutputList decoded_indices, decoded_values, decoded_shape;
    OP_REQUIRES_OK(ctx, ctx->input("inputs", &inputs));
    OP_REQUIRES_OK(ctx, ctx->input("sequence_length", &seq_len));
    OP_REQUIRES_OK(ctx, ctx->input("alphabet", &alphabet));
    tf::Status status = ValidateInputs(*inputs, *seq_len, *alphabet);
    if (!status.ok()) {
      ctx->CtxFailure(tf::Status(status.code(), tf::strings::StrCat("ctc: ", status.error_message())));
      return;
    }
    const int64 max_time = inputs->dim_size(0), batch_size = inputs->dim_size(1), num_classes = inputs->dim_size(2);
    OP_REQUIRES_OK(ctx, ctx->output_list("decoded_indices", &decoded_indices));
    OP_REQUIRES_OK(ctx, ctx->output_list("decoded_values", &decoded_values));
    OP_REQUIRES_OK(ctx, ctx->output_list("decoded_shape", &decoded_shape));
    OP_REQUIRES_OK(ctx, ctx->allocate_output("log_probability", tf::TensorShape({batch_size, top_paths_}), &log_prob));
    OP_REQUIRES_OK(ctx, ctx->allocate_output("text", tf::TensorShape({batch_size}), &text));

    auto inputs_t = inputs->tensor<T, 3>();
    auto seq_len_t = seq_len->vec<tf::int32>();
    auto log_prob_t = log_prob->matrix<T>();
    auto text_t = text->vec<tf::string>();
    const tf::StringPiece letters(alphabet->scalar<tf::string>()());
    std::vector<std::vector<std::vector<int>>> best(batch_size);
    for (int64 b = 0; b < batch_size; ++b) {
      ctc::Beam<T> beam(beam_width_, num_classes - 1, merge_repeated_);
      tf::gtl::InlinedVector<T, 32> frame(num_classes);
      for (int64 t = 0; t < std::min<int64>(seq_len_t(b), max_time); ++t) {
        for (int64 c = 0; c < num_classes; ++c) frame[c] = inputs_t(t, b, c);
        beam.Step(frame.data());
      }
      std::vector<T> scores;
      beam.Top(top_paths_, &best[b], &scores);
      for (int p = 0; p < top_paths_; ++p) log_prob_t(b, p) = scores[p];
      tf::string said;
      for (int label : best[b][0]) {
        if (label < static_cast<int>(letters.size())) said.push_back(letters[label]);
      }
      text_t(b) = said;
    }
    for (int p = 0; p < top_paths_; ++p) {
      OP_REQUIRES_OK(ctx, StorePath(p, best, &decoded_indices, &decoded_values, &decoded_shape));
    }
  }

 private:
  static tf::Status ValidateInputs(const tf::Tensor& inputs, const tf::Tensor& seq_len, const tf::Tensor& alphabet) {
    if (inputs.dims() != 3) {
      return tf::errors::InvalidArgument("inputs is not a 3-Tensor");
    }
    if (!(inputs.dim_size(1) == seq_len.dim_size(0))) {
      return tf::errors::FailedPrecondition("len(sequence_length) != batch_size: ", seq_len.dim_size(0), " and ",
                                            inputs.dim_size(1));
    }
    if (!tf::TensorShapeUtils::IsScalar(alphabet.shape())) {
      return tf::errors::InvalidArgument("alphabet is not a scalar");
    }
    return tf::Status::OK();
  }

  static tf::Status StorePath(int p, const std::vector<std::vector<std::vector<int>>>& best,
                              tf::OpOutputList* indices, tf::OpOutputList* values, tf::OpOutputList* shape) {
    int64 count = 0, longest = 0;
    for (const auto& paths : best) {
      count += paths[p].size();
      longest = std::max<int64>(longest, paths[p].size());
    }
    tf::Tensor *p_indices = nullptr, *p_values = nullptr, *p_shape = nullptr;
    tf::Status s;
    s.Update(indices->allocate(p, tf::TensorShape({count, 2}), &p_indices));
    s.Update(values->allocate(p, tf::TensorShape({count}), &p_values));
    s.Update(shape->allocate(p, tf::TensorShape({2}), &p_shape));
    if (!s.ok()) return s;
    auto at = p_indices->matrix<int64>();
    auto value = p_values->vec<int64>();
    int64 offset = 0;
    for (size_t b = 0; b < best.size(); ++b) {
      for (size_t i = 0; i < best[b][p].size(); ++i, ++offset) {
        at(offset, 0) = b;
        at(offset, 1) = i;
        value(offset) = best[b][p][i];
      }
    }
    p_shape->vec<int64>()(0) = best.size();
    p_shape->vec<int64>()(1) = longest;
    return tf::Status::OK();
  }

  int beam_width_;
  int top_paths_;
  bool merge_repeated_;
  TF_DISALLOW_COPY_AND_ASSIGN(CtcPrefixDecoderOp);
};

REGISTER_KERNEL_BUILDER(Name("CtcPrefixDecoder").Device(tf::DEVICE_CPU).TypeConstraint<float>("T"),
                        CtcPrefixDecoderOp<float>);
REGISTER_KERNEL_BUILDER(Name("CtcPrefixDecoder").Device(tf::DEVICE_CPU).TypeConstraint<double>("T"),
                        CtcPrefixDecoderOp<double>);
