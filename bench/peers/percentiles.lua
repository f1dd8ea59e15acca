-- wrk's measurements, with a percentile that its own table leaves out.
function done(summary, latency, requests)
  for _, p in ipairs({50, 90, 95, 99, 99.9}) do
    print(string.format("PERCENTILE %g %.3f", p, latency:percentile(p) / 1000))
  end
end
