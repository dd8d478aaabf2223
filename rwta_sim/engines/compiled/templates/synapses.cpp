{# Brian2's synapses; where the synapses of a source are a row onto a few runs of contiguous targets, the queue holds
   sources and their rows are gone through without index arrays: several at a time where that gives the same numbers, so
   that a target stays in a register. #}
{% extends 'common_synapses.cpp' %}

{% block maincode %}
    {% set independent = vector_code|text|independent(variables) %}
{% macro runs(count) %}
            size_t _first[{{count}}];
            for(int _row=0; _row<{{count}}; _row++)
                _first[_row] = _run[_row]->first;
            const size_t _post = _run[0]->post, _length = _run[0]->length;
            {% if independent %}
            #pragma GCC ivdep
            {% endif %}
            for(size_t _k=0; _k<_length; _k++)
            {
                {% for row in range(count) %}
                {
                    const size_t _idx = _first[{{row}}] + _k;
                    const size_t _vectorisation_idx = _idx;
                    {{vector_code|text|in_row(row)|autoindent}}
                }
                {% endfor %}
            }
{% endmacro %}
    // scalar code
    const size_t _vectorisation_idx = -1;
    {{scalar_code|autoindent}}

    const rwta_sim::Rows& _rows = rwta_sim::rows_{{pathway.name}};
    const std::vector<int32_t>& _events = *{{pathway.name}}.queue[0]->peek();
    const size_t _num_events = _events.size();
    size_t _event = 0;
    if(_rows.contiguous)
    {
        {% if independent %}
        for(; _event + 4 <= _num_events && _rows.uniform; _event += 4)
        {
            size_t _pre[4];
            const rwta_sim::Run* _run[4];
            for(int _row=0; _row<4; _row++)
            {
                _run[_row] = &_rows.runs[_rows.begin[_events[_event + _row]]];
                _pre[_row] = _rows.pre + _events[_event + _row];
            }
            {{runs(4)}}
        }
        {% endif %}
        for(; _event < _num_events; _event++)
        {
            const size_t _pre[1] = {size_t(_rows.pre + _events[_event])};
            for(int32_t _number=_rows.begin[_events[_event]]; _number<_rows.begin[_events[_event] + 1]; _number++)
            {
                const rwta_sim::Run* const _run[1] = {&_rows.runs[_number]};
                {{runs(1)}}
            }
        }
    }
    for(; _event < _num_events; _event++)
    {
        const size_t _idx = _events[_event];
        const size_t _vectorisation_idx = _idx;
        {{vector_code|autoindent}}
    }
{% endblock %}
