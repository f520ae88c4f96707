using System.Diagnostics.Tracing;
namespace OrleansStreams.Benchmarks;
internal sealed class AllocListener : EventListener
{
    public static readonly System.Collections.Concurrent.ConcurrentDictionary<string,(long N,long B)> Types = new();
    protected override void OnEventSourceCreated(EventSource s) { if (s.Name == "Microsoft-Windows-DotNETRuntime") EnableEvents(s, EventLevel.Verbose, (EventKeywords)1); }
    protected override void OnEventWritten(EventWrittenEventArgs e) { if (e.EventName!.StartsWith("GCAllocationTick")) { var t=(string)e.Payload![5]!; var b=Convert.ToInt64(e.Payload[3]); Types.AddOrUpdate(t,(1,b),(_,o)=>(o.N+1,o.B+b)); } }
}
