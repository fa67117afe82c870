#if GOOGLE_CUDA

#define EIGEN_USE_GPU

#include <cfloat>

#include "third_party/eigen3/unsupported/Eigen/CXX11/Tensor"
#include "tensorflow/core/util/cuda_kernel_helper.h"

using namespace tensorflow;

__global__ void RoiPoolingForward(const int nthreads, const float* bottom_data, const float spatial_scale,
                                  const int height, const int width, const int channels, const int pooled_height,
                                  const int pooled_width, const float* bottom_rois, float* top_data,
                                  int* argmax_data) {
  CUDA_1D_KERNEL_LOOP(index, nthreads) {
    int n = index;
    int c = n % channels;
    n /= channels;
    int pw = n % pooled_width;
    n /= pooled_width;
    int ph = n % pooled_height;
    n /= pooled_height;
    bottom_rois += n * 5;
    int batch = bottom_rois[0];
    int w0 = round(bottom_rois[1] * spatial_scale), h0 = round(bottom_rois[2] * spatial_scale);
    int w1 = round(bottom_rois[3] * spatial_scale), h1 = round(bottom_rois[4] * spatial_scale);
    float bin_h = max(h1 - h0 + 1, 1) / (float)pooled_height, bin_w = max(w1 - w0 + 1, 1) / (float)pooled_width;
    int hs = min(max((int)floor(ph * bin_h) + h0, 0), height), he = min(max((int)ceil((ph + 1) * bin_h) + h0, 0), height);
    int ws = min(max((int)floor(pw * bin_w) + w0, 0), width), we = min(max((int)ceil((pw + 1) * bin_w) + w0, 0), width);
    float best = (he <= hs || we <= ws) ? 0 : -FLT_MAX;
    int where = -1;
    bottom_data += batch * channels * height * width;
    for (int h = hs; h < he; ++h)
      for (int w = ws; w < we; ++w) {
        int at = (h * width + w) * channels + c;
        if (bottom_data[at] > best) best = bottom_data[at], where = batch * channels * height * width + at;
      }
    top_data[index] = best;
    argmax_data[index] = where;
  }
}

bool RoiPoolingForwardLauncher(const float* bottom_data, const float spatial_scale, const int num_rois,
                               const int height, const int width, const int channels, const int pooled_height,
                               const int pooled_width, const float* bottom_rois, float* top_data, int* argmax_data,
                               const Eigen::GpuDevice& d) {
  const int size = num_rois * pooled_height * pooled_width * channels;
  RoiPoolingForward<<<(size + 1023) / 1024, 1024, 0, d.stream()>>>(size, bottom_data, spatial_scale, height, width,
      channels, pooled_height, pooled_width, bottom_rois, top_data, argmax_data);
  return d.ok();
}

#endif  // GOOGLE_CUDA
