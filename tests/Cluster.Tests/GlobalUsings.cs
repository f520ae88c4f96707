// Clusters run one after the other: each is several processes, and a machine that builds has few cores.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
