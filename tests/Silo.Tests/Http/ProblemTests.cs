using System.Text.Json;
using Orleans.Runtime;
using OrleansStreams.Silo.Http.Problems;

namespace OrleansStreams.Silo.Tests.Http;

public class ProblemTests
{
    [Fact]
    public void Every_code_has_a_title_and_its_status_and_retriability_from_the_table()
    {
        foreach (var code in Enum.GetValues<StreamsErrorCode>())
        {
            var body = ProblemFilter.Describe(new StreamsException(code, "what to do"));

            body.Code.ShouldBe(code.ToString());
            body.Status.ShouldBe(ErrorTable.HttpStatusOf(code));
            body.Retriable.ShouldBe(ErrorTable.IsRetriable(code));
            body.Title.ShouldNotBeNullOrWhiteSpace();
        }

        ProblemBody.Of(StreamsErrorCode.UnknownTopicOrPartition, "x").Title.ShouldBe("Unknown topic or partition");
    }

    [Fact]
    public void An_unexpected_exception_shows_nothing_of_itself()
    {
        var body = ProblemFilter.Describe(new InvalidOperationException("secret internals"));

        body.Status.ShouldBe(500);
        JsonSerializer.Serialize(body).ShouldNotContain("secret");
    }

    [Fact]
    public void What_may_pass_is_retriable_and_says_that_the_outcome_is_unknown()
    {
        foreach (var exception in new Exception[] { new TimeoutException(), new SiloUnavailableException("gone"), new OperationCanceledException() })
        {
            var body = ProblemFilter.Describe(exception);

            body.Retriable.ShouldBeTrue();
            body.Outcome.ShouldBe("unknown");
        }
    }
}
