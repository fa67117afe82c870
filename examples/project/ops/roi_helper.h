#ifndef ROI_HELPER_H_
#define ROI_HELPER_H_

// The greatest of the rows x columns features inside roi = {top, left, bottom, right}, clipped; 0 if it is empty.
extern "C" float roi_maximum(const float* features, int rows, int columns, const int* roi);

// How often roi_maximum was called in this process.
extern "C" int roi_calls(void);

#endif  // ROI_HELPER_H_
