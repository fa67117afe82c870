#ifndef CTC_BEAM_H
#define CTC_BEAM_H

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>
#include <vector>

namespace ctc {

template <typename T>
static inline T LogSumExp(T a, T b) {
  if (a == -std::numeric_limits<T>::infinity()) return b;
  if (b == -std::numeric_limits<T>::infinity()) return a;
  const T top = std::max(a, b);
  return top + std::log1p(std::exp(std::min(a, b) - top));
}

// Prefixes and their log probabilities, ending in a blank and not; frames are log probabilities of the classes.
template <typename T>
class Beam {
 public:
  Beam(int width, int blank, bool merge) : width_(width), blank_(blank), merge_(merge) {
    entries_[std::vector<int>()] = std::make_pair(T(0), kNever());
  }

  void Step(const T* frame) {
    std::map<std::vector<int>, std::pair<T, T>> next;
    for (const auto& entry : entries_) {
      const std::vector<int>& prefix = entry.first;
      const T ends_blank = entry.second.first, ends_label = entry.second.second;
      const T total = LogSumExp(ends_blank, ends_label);
      Slot(&next, prefix)->first = LogSumExp(Slot(&next, prefix)->first, total + frame[blank_]);
      for (int label = 0; label < blank_; ++label) {
        std::vector<int> longer(prefix);
        longer.push_back(label);
        if (merge_ && !prefix.empty() && prefix.back() == label) {
          T* same = &Slot(&next, prefix)->second;
          *same = LogSumExp(*same, ends_label + frame[label]);
          T* other = &Slot(&next, longer)->second;
          *other = LogSumExp(*other, ends_blank + frame[label]);
        } else {
          T* other = &Slot(&next, longer)->second;
          *other = LogSumExp(*other, total + frame[label]);
        }
      }
    }
    std::vector<std::pair<T, std::vector<int>>> ranked = Ranked(next);
    entries_.clear();
    for (int i = 0; i < width_ && i < static_cast<int>(ranked.size()); ++i) {
      entries_[ranked[i].second] = next[ranked[i].second];
    }
  }

  void Top(int count, std::vector<std::vector<int>>* paths, std::vector<T>* scores) {
    std::vector<std::pair<T, std::vector<int>>> ranked = Ranked(entries_);
    for (int i = 0; i < count; ++i) {
      const bool there = i < static_cast<int>(ranked.size());
      paths->push_back(there ? ranked[i].second : std::vector<int>());
      scores->push_back(there ? ranked[i].first : kNever());
    }
  }

 private:
  typedef std::map<std::vector<int>, std::pair<T, T>> Entries;
  static T kNever() { return -std::numeric_limits<T>::infinity(); }
  static std::pair<T, T>* Slot(Entries* entries, const std::vector<int>& key) {
    return &entries->insert(std::make_pair(key, std::make_pair(kNever(), kNever()))).first->second;
  }
  static std::vector<std::pair<T, std::vector<int>>> Ranked(const Entries& entries) {
    std::vector<std::pair<T, std::vector<int>>> ranked;
    for (const auto& entry : entries) {
      ranked.push_back(std::make_pair(LogSumExp(entry.second.first, entry.second.second), entry.first));
    }
    std::stable_sort(ranked.begin(), ranked.end(),
                     [](const std::pair<T, std::vector<int>>& a, const std::pair<T, std::vector<int>>& b) {
                       return a.first > b.first;
                     });
    return ranked;
  }

  int width_, blank_;
  bool merge_;
  Entries entries_;
};

}  // namespace ctc

#endif  // CTC_BEAM_H
