using OrleansStreams.Log;

namespace OrleansStreams.Groups;

/// <summary>
/// One computation of the sticky assignor: everybody keeps what he has, what is free goes to the least loaded, then single partitions
/// move from the most to the least loaded until no move would help.
/// </summary>
/// <remarks>
/// A move is made only when it makes the larger of two loads smaller without making the other one as large (a difference of two or
/// more), so that the sum of squares of the loads falls with each move and the loop ends. With equal subscriptions each move is one that every balanced
/// target needs, so the movement is minimal and loads differ by one at most. With unequal subscriptions only direct moves are
/// looked for, no chains over a third member: balance may then be worse than possible by design, movement stays small.
/// </remarks>
internal sealed class StickyAssignment
{
    private readonly SortedDictionary<string, (int Partitions, List<int> Subscribers)> _topics;
    private readonly int[] _load;

    // Per member and topic, its partitions; the last one is the first to move.
    private readonly SortedDictionary<string, List<int>>[] _held;

    public StickyAssignment(AssignorMember[] members, SortedDictionary<string, (int Partitions, List<int> Subscribers)> topics)
    {
        _topics = topics;
        _load = new int[members.Length];
        _held = new SortedDictionary<string, List<int>>[members.Length];
        for (var m = 0; m < members.Length; m++)
        {
            _held[m] = new SortedDictionary<string, List<int>>(StringComparer.Ordinal);
        }

        KeepCurrent(members);
    }

    public List<TopicPartition>[] Assign()
    {
        GiveOutFree();
        while (MoveOne())
        {
        }

        var assigned = PartitionAssignors.NewLists(_load.Length);
        for (var m = 0; m < _load.Length; m++)
        {
            foreach (var (topic, partitions) in _held[m])
            {
                foreach (var partition in partitions)
                {
                    assigned[m].Add(new TopicPartition(topic, partition));
                }
            }
        }

        return assigned;
    }

    private void KeepCurrent(AssignorMember[] members)
    {
        var taken = new HashSet<TopicPartition>();
        for (var m = 0; m < members.Length; m++)
        {
            foreach (var partition in members[m].Current.Order())
            {
                // Two members that claim one partition cannot come from this assignor; the first keeps it all the same.
                if (_topics.TryGetValue(partition.Topic, out var row) && partition.Partition < row.Partitions
                    && row.Subscribers.BinarySearch(m) >= 0 && taken.Add(partition))
                {
                    Add(m, partition.Topic, partition.Partition);
                }
            }
        }
    }

    private void GiveOutFree()
    {
        var taken = new HashSet<TopicPartition>();
        foreach (var held in _held)
        {
            foreach (var (topic, partitions) in held)
            {
                foreach (var partition in partitions)
                {
                    taken.Add(new TopicPartition(topic, partition));
                }
            }
        }

        // Topics with few subscribers first: the others can still even out the loads.
        foreach (var (topic, (partitions, subscribers)) in _topics.OrderBy(t => t.Value.Subscribers.Count).ThenBy(t => t.Key, StringComparer.Ordinal))
        {
            var queue = new PriorityQueue<int, (int Load, int Member)>();
            foreach (var subscriber in subscribers)
            {
                queue.Enqueue(subscriber, (_load[subscriber], subscriber));
            }

            for (var partition = 0; partition < partitions; partition++)
            {
                if (!taken.Contains(new TopicPartition(topic, partition)))
                {
                    var member = queue.Dequeue();
                    Add(member, topic, partition);
                    queue.Enqueue(member, (_load[member], member));
                }
            }
        }
    }

    private bool MoveOne()
    {
        var byLoad = new int[_load.Length];
        for (var m = 0; m < byLoad.Length; m++)
        {
            byLoad[m] = m;
        }

        Array.Sort(byLoad, (a, b) => _load[a] != _load[b] ? _load[b].CompareTo(_load[a]) : a.CompareTo(b));
        foreach (var from in byLoad)
        {
            var (to, topic) = LeastLoadedTaker(from);
            if (topic is not null && _load[from] - _load[to] >= 2)
            {
                var partitions = _held[from][topic];
                var partition = partitions[^1];
                partitions.RemoveAt(partitions.Count - 1);
                _load[from]--;
                Add(to, topic, partition);
                return true;
            }
        }

        return false;
    }

    private (int Member, string? Topic) LeastLoadedTaker(int from)
    {
        var best = (Member: -1, Topic: (string?)null);
        foreach (var (topic, partitions) in _held[from])
        {
            if (partitions.Count == 0)
            {
                continue;
            }

            foreach (var subscriber in _topics[topic].Subscribers)
            {
                if (subscriber != from && (best.Topic is null || _load[subscriber] < _load[best.Member]))
                {
                    best = (subscriber, topic);
                }
            }
        }

        return best;
    }

    private void Add(int member, string topic, int partition)
    {
        if (!_held[member].TryGetValue(topic, out var partitions))
        {
            _held[member].Add(topic, partitions = []);
        }

        partitions.Add(partition);
        _load[member]++;
    }
}
