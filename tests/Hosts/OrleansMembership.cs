using System.Globalization;
using Orleans;
using Orleans.Runtime;

namespace OrleansStreams.Hosts;

/// <summary>The membership table of a cluster that lives in one process.</summary>
internal sealed class OrleansMembership : IMembershipTable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<SiloAddress, (MembershipEntry Entry, string Etag)> _rows = [];
    private TableVersion _version = new(0, "0");
    private long _etag;

    public Task InitializeMembershipTable(bool tryInitTableVersion) => Task.CompletedTask;

    public Task DeleteMembershipTableEntries(string clusterId)
    {
        lock (_gate)
        {
            _rows.Clear();
        }

        return Task.CompletedTask;
    }

    public Task CleanupDefunctSiloEntries(DateTimeOffset beforeDate)
    {
        lock (_gate)
        {
            foreach (var (silo, _) in _rows.Where(row => row.Value.Entry.Status == SiloStatus.Dead && row.Value.Entry.IAmAliveTime < beforeDate).ToList())
            {
                _rows.Remove(silo);
            }
        }

        return Task.CompletedTask;
    }

    public Task<MembershipTableData> ReadRow(SiloAddress key)
    {
        lock (_gate)
        {
            return Task.FromResult(_rows.TryGetValue(key, out var row) ? new MembershipTableData(Copy(row), _version) : new MembershipTableData(_version));
        }
    }

    public Task<MembershipTableData> ReadAll()
    {
        lock (_gate)
        {
            return Task.FromResult(new MembershipTableData([.. _rows.Values.Select(Copy)], _version));
        }
    }

    public Task<bool> InsertRow(MembershipEntry entry, TableVersion tableVersion) => Task.FromResult(TryWrite(entry, etag: null, tableVersion));

    public Task<bool> UpdateRow(MembershipEntry entry, string etag, TableVersion tableVersion) => Task.FromResult(TryWrite(entry, etag, tableVersion));

    public Task UpdateIAmAlive(MembershipEntry entry)
    {
        lock (_gate)
        {
            if (_rows.TryGetValue(entry.SiloAddress, out var row))
            {
                row.Entry.IAmAliveTime = entry.IAmAliveTime;
            }
        }

        return Task.CompletedTask;
    }

    private bool TryWrite(MembershipEntry entry, string? etag, TableVersion version)
    {
        lock (_gate)
        {
            var current = _rows.TryGetValue(entry.SiloAddress, out var row) ? row.Etag : null;
            if (current != etag || version.VersionEtag != _version.VersionEtag)
            {
                return false;
            }

            var next = (++_etag).ToString(CultureInfo.InvariantCulture);
            _rows[entry.SiloAddress] = (Copy(entry), next);
            _version = new TableVersion(version.Version, next);
            return true;
        }
    }

    private static Tuple<MembershipEntry, string> Copy((MembershipEntry Entry, string Etag) row) => Tuple.Create(Copy(row.Entry), row.Etag);

    private static MembershipEntry Copy(MembershipEntry entry) => new()
    {
        SiloAddress = entry.SiloAddress,
        Status = entry.Status,
        SuspectTimes = entry.SuspectTimes is { } times ? [.. times] : null,
        ProxyPort = entry.ProxyPort,
        HostName = entry.HostName,
        SiloName = entry.SiloName,
        RoleName = entry.RoleName,
        UpdateZone = entry.UpdateZone,
        FaultZone = entry.FaultZone,
        StartTime = entry.StartTime,
        IAmAliveTime = entry.IAmAliveTime,
    };
}
